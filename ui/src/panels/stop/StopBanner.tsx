import { Link } from "wouter";
import { grouped, moment } from "../../i18n/format";
import { Icon } from "../../kit/icons";
import { useItems } from "../../store/live";
import { useT } from "../../store/preferences";
import { LEVELS } from "../../wire/common";
import type { Stop } from "../../wire/items";
import { useWho } from "../who";
import { levelWord, saidWord, scopeWord, stopLook } from "../words";

/** What is real before a drill, all before a part of it, then the stronger level, then the newer. */
const weight = (stop: Stop) => (stop.drill ? 0 : 100) + (stop.scope === "all" ? 10 : 0) + LEVELS.indexOf(stop.level);

export function useOpenStops(): readonly Stop[] {
  return useItems("stops")
    .filter((stop) => stop.released_at === null)
    .toSorted((a, b) => weight(b) - weight(a) || b.epoch - a.epoch);
}

export function onlyDrills(open: readonly Stop[]): boolean {
  return open.every((stop) => stop.drill);
}

/** Once the stop's page is drawn. */
function toRelease(): void {
  requestAnimationFrame(() => document.getElementById("release")?.focus());
}

/** Stays on every page, for everybody, until the stop is released by a person. */
export function StopBanner() {
  const t = useT();
  const who = useWho();
  const open = useOpenStops();
  const [first] = open;
  if (!first) return null;
  const drill = onlyDrills(open);
  const look = stopLook(first, t);
  return (
    <div className={`stop-banner${drill ? " stop-drill" : ""}`} role="status" data-testid="stop-banner">
      <Icon shape="octagon" size={18} />
      <p>
        <strong>
          {drill ? t("stop.banner.drill") : t("stop.banner", { scope: scopeWord(first.scope, t) })} · {levelWord(first.level, t)} · {look.word}
        </strong>
        <span>
          {who(first.user_id, first.username)} · {moment(first.requested_at, Date.now())} · {t("stop.epoch")} {grouped(first.epoch)}
          {first.reason && ` · ${saidWord(first.reason, t)}`}
          {open.length > 1 && ` · ${t("stop.banner.more", { n: open.length - 1 })}`}
        </span>
      </p>
      <Link href={`/stops/${first.stop_id}`} className="button banner-link" data-testid="stop-banner-open">
        <span>{t("stop.banner.open")}</span>
        <Icon shape="arrow" size={12} />
      </Link>
      <Link href={`/stops/${first.stop_id}`} className="button banner-release" data-testid="stop-banner-release" onClick={toRelease}>
        {t("release.request")}
      </Link>
    </div>
  );
}
