import { Link } from "wouter";
import { age, grouped, millis, signed, won } from "../i18n/format";
import { Button } from "../kit/Button";
import { Icon } from "../kit/icons";
import { Empty, Panel, Skeleton } from "../kit/Panel";
import { Badge, Status } from "../kit/Status";
import { useNow } from "../store/clock";
import { live, useItems, useLink, useTopic } from "../store/live";
import { useLook, useT } from "../store/preferences";
import type { EngineStatus } from "../wire/items";
import { openStopDialog } from "./stop/ask";
import { byConcern, engineLook, lastKnown, scopeWord, strategyLook } from "./words";

const LATE_MS = 7_500;
const LOST_MS = 15_000;
const STRATEGIES_SHOWN = 4;

export function EngineGrid() {
  const t = useT();
  const { loaded } = useTopic("engines");
  const engines = useItems("engines").toSorted(byConcern(useTopic("stops").items, t));
  const connected = engines.filter((engine) => engine.connection === "connected").length;
  const beside = <span className="small soft">{t("engines.connected", { connected, total: engines.length })}</span>;
  return (
    <Panel title={t("engines.title")} beside={loaded && beside} testId="engine-grid" flush>
      {!loaded ? (
        <Skeleton rows={4} />
      ) : engines.length === 0 ? (
        <Empty title={t("engines.none")} testId="engines-empty">
          {t("engines.none.next")}
        </Empty>
      ) : (
        <div className="engine-grid">
          {engines.map((engine) => (
            <EngineCard key={engine.engine_id} engine={engine} />
          ))}
        </div>
      )}
    </Panel>
  );
}

export function heartbeatAge(engine: EngineStatus, now: number): number | null {
  const heard = millis(engine.last_heartbeat);
  return heard === null ? null : Math.max(0, live.serverNow(now) - heard);
}

export function ageTone(ms: number | null): string {
  return ms === null ? "" : ms > LOST_MS ? "tone-text-crit" : ms > LATE_MS ? "tone-text-warn" : "";
}

function EngineCard({ engine }: { engine: EngineStatus }) {
  const t = useT();
  const { language } = useLook();
  const now = useNow();
  const offline = useLink().liveness === "offline";
  const current = engineLook(engine, useTopic("stops").items, t);
  const look = offline ? lastKnown(current, t) : current;
  const heard = heartbeatAge(engine, now);
  const lease = millis(engine.lease_expires_at);
  const leaseLeft = lease === null ? null : Math.max(0, lease - live.serverNow(now));
  const away = engine.connection === "offline" || engine.connection === "never";
  return (
    <article className={`engine-card tone-${look.tone}${away || offline ? " engine-away" : ""}`} data-testid={`engine-card-${engine.engine_id}`} aria-label={engine.name}>
      <header>
        <div className="engine-name">
          <h3>{engine.name}</h3>
          <span className="faint small mono">{engine.engine_id === engine.name ? engine.account_id : engine.engine_id}</span>
        </div>
        {engine.trading_mode && (
          <Badge tone={engine.trading_mode === "live" ? "warn" : "idle"} filled={engine.trading_mode === "live"}>
            {t(`mode.${engine.trading_mode}`)}
          </Badge>
        )}
      </header>
      <div className="engine-state">
        <Status look={look} testId={`engine-state-${engine.engine_id}`} />
        <span className={`small ${ageTone(heard)}`} data-testid={`engine-age-${engine.engine_id}`} title={t("engine.heartbeat")}>
          {heard === null ? t("engine.never_heard") : t("ago", { age: age(heard, language) })}
        </span>
      </div>
      <dl className="facts">
        <Fact label={t("engine.lease")} testId={`engine-lease-${engine.engine_id}`}>
          {leaseLeft === null ? t("none") : leaseLeft === 0 ? t("engine.lease.expired") : age(leaseLeft, language)}
        </Fact>
        <Fact label={t("engine.positions")} testId={`engine-positions-${engine.engine_id}`}>
          {engine.positions === null ? t("unknown") : grouped(engine.positions)}
        </Fact>
        <Fact label={t("engine.orders")} testId={`engine-orders-${engine.engine_id}`}>
          {engine.open_orders === null ? t("unknown") : grouped(engine.open_orders)}
        </Fact>
        <Fact label={t("engine.equity")}>{engine.equity === null ? t("unknown") : won(engine.equity, language)}</Fact>
        <Fact label={t("engine.pnl")}>{engine.realized_pnl === null ? t("unknown") : <Profit value={engine.realized_pnl} />}</Fact>
        <Fact label={t("engine.books")}>{engine.synced === null ? t("unknown") : engine.synced ? t("engine.synced") : t("engine.unsynced")}</Fact>
      </dl>
      {engine.stops.length > 0 && (
        <ul className="chips" aria-label={t("stops.open")}>
          {engine.stops.map((stop) => (
            <li key={stop.stop_id}>
              <Link href={`/stops/${stop.stop_id}`} className="chip chip-stop" data-testid={`engine-stop-${engine.engine_id}`}>
                <Icon shape="octagon" size={10} />
                {t(`level.${stop.level}`)} · {scopeWord(stop.scope, t)}
              </Link>
            </li>
          ))}
        </ul>
      )}
      <footer>
        <div className="engine-strategies">
          {engine.strategies.slice(0, STRATEGIES_SHOWN).map((strategy) => {
            const state = away || offline ? lastKnown(strategyLook(strategy, t), t) : strategyLook(strategy, t);
            return (
              <span key={strategy.id} className={`strategy-mark tone-${state.tone}`} title={`${strategy.name}: ${state.word}`}>
                  <Icon shape={state.shape} size={10} />
                  {strategy.name}
                  <span className="visually-hidden"> {state.word}</span>
              </span>
            );
          })}
          {engine.strategies.length === 0 && <span className="faint small">{t("engine.no_strategies")}</span>}
          {engine.strategies.length > STRATEGIES_SHOWN && <span className="faint small">+{engine.strategies.length - STRATEGIES_SHOWN}</span>}
        </div>
        <Button kind="quiet" small testId={`engine-stop-open-${engine.engine_id}`} onClick={() => openStopDialog(`engine:${engine.engine_id}`)}>
          {t("engine.stop_this")}
        </Button>
      </footer>
    </article>
  );
}

function Fact({ label, children, testId }: { label: string; children: React.ReactNode; testId?: string }) {
  return (
    <div>
      <dt>{label}</dt>
      <dd data-testid={testId}>{children}</dd>
    </div>
  );
}

export function Profit({ value }: { value: number }) {
  const { language } = useLook();
  return <span className={value > 0 ? "up" : value < 0 ? "down" : ""}>{signed(value, won(Math.abs(value), language))}</span>;
}
