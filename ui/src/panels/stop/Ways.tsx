import { clock, millis } from "../../i18n/format";
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
          {t("stop.way.cli")} <code>watchkeeper stop --local</code>
        </li>
        <li>{t("stop.way.broker")}</li>
      </ol>
      {lease !== null && <p>{t("stop.way.lease", { time: clock(lease) })}</p>}
    </>
  );
}
