import { useRef, useState } from "react";
import { clock, millis } from "../../i18n/format";
import { Button } from "../../kit/Button";
import { useItems, useTopic } from "../../store/live";
import { useT } from "../../store/preferences";

/** The ways to stop that need neither this page nor its session, fastest first, and when the engines stop by themselves. */
export function Ways() {
  const t = useT();
  const emergency = useTopic("system").items.get("platform")?.emergency ?? null;
  const leases = useItems("engines").flatMap((engine) => millis(engine.lease_expires_at) ?? []);
  const lease = leases.length > 0 ? Math.max(...leases) : null;
  return (
    <>
      <ol className="ways">
        {emergency !== null && (
          <li>
            {t("stop.way.page")} <code>{emergency}</code>
          </li>
        )}
        <li>
          {t("stop.way.cli")} <Command text="watchkeeper stop --local" />
        </li>
        <li>
          {t("stop.way.file")} <code>STOP</code>
        </li>
        <li>{t("stop.way.broker")}</li>
      </ol>
      {lease !== null && <p>{t("stop.way.lease", { time: clock(lease) })}</p>}
    </>
  );
}

/** To be copied. It is marked, too: a page without TLS has no clipboard. */
function Command({ text }: { text: string }) {
  const t = useT();
  const ref = useRef<HTMLElement>(null);
  const [copied, setCopied] = useState(false);
  const copy = () => {
    if (ref.current) getSelection()?.selectAllChildren(ref.current);
    if (isSecureContext) void navigator.clipboard.writeText(text).then(() => setCopied(true)).catch(() => setCopied(false));
  };
  return (
    <>
      <code ref={ref}>{text}</code>{" "}
      <Button small className="copy" testId="stop-way-copy" onClick={copy}>
        {t(copied ? "stop.way.copied" : "stop.way.copy")}
      </Button>
    </>
  );
}
