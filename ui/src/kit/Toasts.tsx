import { useT } from "../store/preferences";
import { dismiss, useToasts } from "../store/toasts";
import { Button } from "./Button";
import { Icon } from "./icons";

export function Toasts() {
  const toasts = useToasts();
  const t = useT();
  return (
    <div className="toasts" role="status" aria-live="polite" data-testid="toasts">
      {toasts.map(({ id, tone, text }) => (
        <div key={id} className={`toast tone-${tone}`} data-testid={`toast-${tone}`}>
          <Icon shape={tone === "ok" ? "check" : "cross"} size={13} />
          <span className="grow">{text}</span>
          <Button kind="quiet" small testId="toast-close" aria-label={t("close")} onClick={() => dismiss(id)}>
            <Icon shape="cross" size={10} />
          </Button>
        </div>
      ))}
    </div>
  );
}
