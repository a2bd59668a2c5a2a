import { useMutation } from "@tanstack/react-query";
import * as v from "valibot";
import { dateTime } from "../i18n/format";
import { Button } from "../kit/Button";
import { Icon } from "../kit/icons";
import { Panel } from "../kit/Panel";
import { call } from "../link/rest";
import { useSession } from "../link/session";
import { useItems } from "../store/live";
import { useT } from "../store/preferences";
import { toast } from "../store/toasts";
import { may } from "../wire/common";
import type { Alert } from "../wire/items";
import { codeText, errorText, saidWord } from "./words";

const WEIGHT: Record<Alert["severity"], number> = { critical: 0, error: 1, warning: 2, info: 3 };

/** Open until a named person has seen them; absent while there is nothing to see. */
export function Alerts() {
  const t = useT();
  const session = useSession();
  const open = useItems("alerts")
    .filter((alert) => alert.state === "open")
    .toSorted((a, b) => WEIGHT[a.severity] - WEIGHT[b.severity] || b.raised_at.localeCompare(a.raised_at));
  const acknowledge = useMutation({
    mutationFn: (id: string) => call({ method: "POST", path: `/api/alerts/${encodeURIComponent(id)}/ack`, body: {}, answer: v.unknown() }),
    onError: (error) => toast("crit", errorText(error, t)),
  });
  if (open.length === 0) return null;
  const allowed = "user" in session && may(session.user.role, "operator");
  return (
    <Panel title={t("alerts.title", { n: open.length })} testId="alerts" flush>
      <ul className="alerts">
        {open.map((alert) => (
          <li key={alert.id} className={alert.severity === "info" ? "tone-idle" : alert.severity === "warning" ? "tone-warn" : "tone-crit"} data-testid={`alert-${alert.id}`}>
            <Icon shape={alert.severity === "info" ? "ring" : alert.severity === "warning" ? "triangle" : "cross"} size={12} />
            <div>
              <p>
                <b>{codeText(alert.code, t) ?? t(`severity.${alert.severity}`)}</b> {alert.engine_id && <span className="faint mono">{alert.engine_id}</span>}
              </p>
              <p className="small soft">
                {saidWord(alert.reason, t)} · {dateTime(alert.raised_at)} · <code>{alert.code}</code>
              </p>
            </div>
            <Button small testId={`alert-ack-${alert.id}`} disabled={!allowed || acknowledge.isPending} onClick={() => acknowledge.mutate(alert.id)}>
              {t("alerts.ack")}
            </Button>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

