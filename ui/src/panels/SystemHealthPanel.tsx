import { age, clock, grouped, millis } from "../i18n/format";
import { Empty, Panel, Skeleton } from "../kit/Panel";
import { Sparkline } from "../kit/Sparkline";
import { Badge, Status, type Look } from "../kit/Status";
import { useNow } from "../store/clock";
import { live, useHistory, useItems, useLink, useTopic } from "../store/live";
import { useLook, useT } from "../store/preferences";
import type { EngineHealth, SystemHealth } from "../wire/items";
import { ageTone } from "./EngineGrid";
import { lastKnown } from "./words";

/** The platform's and every engine's vital signs, with their ages. Loss of the link shows here within 15 s (property 17). */
export function SystemHealthPanel() {
  const t = useT();
  const { liveness } = useLink();
  const system = useTopic("system");
  const platform = system.items.get("platform");
  const offline = liveness === "offline";
  const badge = offline ? (
    <Badge tone="crit" shape="square" filled testId="health-offline">
      {t("link.offline")}
    </Badge>
  ) : null;
  return (
    <Panel title={t("health.title")} beside={badge} testId="system-health" dated={offline} flush end={<Updated platform={platform} />}>
      {platform ? <Platform platform={platform} offline={offline} /> : system.loaded ? <Empty title={t("health.none")} testId="health-empty" /> : <Skeleton rows={2} />}
      <Engines offline={offline} />
    </Panel>
  );
}

function Updated({ platform }: { platform: SystemHealth | undefined }) {
  const t = useT();
  const { language } = useLook();
  const now = useNow();
  const at = millis(platform?.last_update ?? null);
  if (at === null) return null;
  return (
    <span className="small faint" data-testid="health-age" title={clock(at)}>
      {t("ago", { age: age(live.serverNow(now) - at, language) })}
    </span>
  );
}

function Platform({ platform, offline }: { platform: SystemHealth; offline: boolean }) {
  const t = useT();
  const history = useHistory();
  const state = processLook(platform.process_status);
  const look = { ...state, word: t(`process.${platform.process_status}`) };
  const cpu = history.map((point) => point.cpu);
  const memory = history.map((point) => point.memory);
  return (
    <div className="vitals" data-testid="health-platform">
      <div className="vital">
        <span className="vital-label">{t("health.process")}</span>
        <Status look={offline ? lastKnown(look, t) : look} testId="health-process" />
        <span className="small faint">
          {t("health.database")} {t(`database.${platform.database}`)}
        </span>
      </div>
      <Gauge label={t("health.cpu")} value={platform.cpu_usage} history={cpu} testId="health-cpu" />
      <Gauge label={t("health.memory")} value={platform.memory_usage} history={memory} testId="health-memory" />
      <div className="vital">
        <span className="vital-label">{t("health.engines")}</span>
        <span className="vital-value" data-testid="health-engines">
          {platform.engines_connected}
          <small>/{platform.engine_count}</small>
        </span>
        <span className="small faint">
          {t("health.strategies")} {platform.active_strategies}
        </span>
      </div>
      <div className="vital">
        <span className="vital-label">{t("health.lag")}</span>
        <span className="vital-value">
          {grouped(Math.round(platform.loop_lag_ms * 10) / 10)}
          <small>ms</small>
        </span>
        <span className="small faint">{t("health.lag.hint")}</span>
      </div>
    </div>
  );
}

function Gauge({ label, value, history, testId }: { label: string; value: number; history: number[]; testId: string }) {
  const t = useT();
  const name = t("health.trend", { label, last: value.toFixed(1), low: Math.min(...history, value).toFixed(1), high: Math.max(...history, value).toFixed(1) });
  return (
    <div className="vital">
      <span className="vital-label">{label}</span>
      <span className="vital-value" data-testid={testId}>
        {value.toFixed(1)}
        <small>%</small>
      </span>
      <Sparkline values={history} label={name} />
    </div>
  );
}

function Engines({ offline }: { offline: boolean }) {
  const t = useT();
  const health = useItems("health").toSorted((a, b) => a.engine_id.localeCompare(b.engine_id));
  if (health.length === 0) return null;
  return (
    <div className="table-scroll" tabIndex={0} role="region" aria-label={t("health.table")}>
      <table className="table">
        <thead>
          <tr>
            <th scope="col">{t("health.engine")}</th>
            <th scope="col">{t("health.state")}</th>
            <th scope="col" className="num">
              {t("health.process_age")}
            </th>
            <th scope="col" className="num">
              {t("health.market_age")}
            </th>
            <th scope="col" className="num">
              {t("health.order_age")}
            </th>
            <th scope="col">{t("health.token")}</th>
            <th scope="col" className="num">
              {t("health.lease")}
            </th>
            <th scope="col" className="num">
              CPU
            </th>
            <th scope="col" className="num">
              {t("health.memory")}
            </th>
          </tr>
        </thead>
        <tbody>
          {health.map((engine) => (
            <EngineRow key={engine.engine_id} engine={engine} offline={offline} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function EngineRow({ engine, offline }: { engine: EngineHealth & { heard_at: number }; offline: boolean }) {
  const t = useT();
  const { language } = useLook();
  const now = useNow();
  const since = Math.max(0, now - engine.heard_at);
  const look = healthLook(engine, t);
  const { clocks } = engine;
  const aged = (ms: number | null) => (ms === null ? "–" : age(ms + since, language));
  const processAge = clocks.process_age_ms === null ? null : clocks.process_age_ms + since;
  const lease = engine.lease_ms_left === null ? null : Math.max(0, engine.lease_ms_left - since);
  return (
    <tr data-testid={`health-row-${engine.engine_id}`}>
      <td className="nowrap">{engine.engine_id}</td>
      <td>
        <Status look={offline ? lastKnown(look, t) : look} testId={`health-state-${engine.engine_id}`} />
      </td>
      <td className={`num ${ageTone(processAge)}`} data-testid={`health-process-age-${engine.engine_id}`}>
        {aged(clocks.process_age_ms)}
      </td>
      <td className="num">{aged(clocks.market_data_age_ms)}</td>
      <td className="num">{aged(clocks.order_channel_age_ms)}</td>
      <td>
        <span className={clocks.broker_token === "invalid" ? "tone-text-crit" : clocks.broker_token === "expiring" ? "tone-text-warn" : ""}>{t(`token.${clocks.broker_token}`)}</span>
      </td>
      <td className={`num ${lease === 0 ? "tone-text-crit" : ""}`}>{lease === null ? "–" : lease === 0 ? t("engine.lease.expired") : age(lease, language)}</td>
      <td className="num">{engine.cpu_usage === null ? "–" : `${engine.cpu_usage.toFixed(1)}%`}</td>
      <td className="num">{engine.memory_usage === null ? "–" : `${engine.memory_usage.toFixed(1)}%`}</td>
    </tr>
  );
}

function processLook(status: SystemHealth["process_status"]): Pick<Look, "shape" | "tone"> {
  if (status === "running") return { shape: "dot", tone: "ok" };
  return status === "error" ? { shape: "cross", tone: "crit" } : { shape: "triangle", tone: "warn" };
}

function healthLook(engine: EngineHealth, t: ReturnType<typeof useT>): Look {
  if (engine.connection === "never") return { shape: "ring", tone: "idle", word: t("engine.never") };
  if (engine.connection === "offline") return { shape: "square", tone: "crit", word: t("engine.offline") };
  if (engine.connection === "suspect") return { shape: "triangle", tone: "warn", word: t("engine.suspect") };
  if (engine.process_status === null) return { shape: "diamond", tone: "idle", word: t("engine.no_report") };
  return { ...processLook(engine.process_status), word: t(`process.${engine.process_status}`) };
}
