import { useQuery } from "@tanstack/react-query";
import { useLocation } from "wouter";
import { Icon } from "../kit/icons";
import { Empty, Panel, Skeleton } from "../kit/Panel";
import { Notice, Status } from "../kit/Status";
import { call } from "../link/rest";
import { useItems, useLink, useTopic } from "../store/live";
import { useT } from "../store/preferences";
import type { Strategy } from "../wire/items";
import { StrategyParameters } from "../wire/rest";
import { parametersKey } from "./parameters/change";
import { ParameterForm } from "./parameters/ParameterForm";
import { ParameterHistory } from "./parameters/ParameterHistory";
import { StrategyControl } from "./StrategyControl";
import { openStopDialog } from "./stop/ask";
import { errorText, lastKnown, strategyLook } from "./words";
import { Button } from "../kit/Button";

/** Every strategy of every engine; the chosen one's parameters, changed live. */
export function Strategies({ engineId, strategyId }: { engineId: string | null; strategyId: string | null }) {
  const t = useT();
  const strategies = useAllStrategies();
  const { loaded } = useTopic("engines");
  const chosen = strategies.find((each) => each.engine_id === engineId && each.id === strategyId) ?? (engineId === null ? strategies[0] : undefined);
  return (
    <div className="stack">
      <div className="page-head">
        <h1>{t("nav.strategies")}</h1>
      </div>
      {!loaded ? (
        <Panel title={t("nav.strategies")} testId="strategies" flush>
          <Skeleton rows={5} />
        </Panel>
      ) : strategies.length === 0 ? (
        <Panel title={t("nav.strategies")} testId="strategies" flush>
          <Empty title={t("strategies.none")} testId="strategies-empty">
            {t("strategies.none.next")}
          </Empty>
        </Panel>
      ) : (
        <div className="master-detail">
          <StrategyList strategies={strategies} chosen={chosen} />
          {chosen ? <StrategyDetail key={`${chosen.engine_id}/${chosen.id}`} strategy={chosen} /> : <Empty title={t("strategies.gone")} testId="strategies-gone" />}
        </div>
      )}
    </div>
  );
}

/** The strategies topic where it is spoken, else those that came with the engines. */
function useAllStrategies(): Strategy[] {
  const topic = useItems("strategies");
  const engines = useItems("engines");
  const all = new Map(engines.flatMap((engine) => engine.strategies).map((each) => [`${each.engine_id}/${each.id}`, each]));
  for (const each of topic) all.set(`${each.engine_id}/${each.id}`, { ...all.get(`${each.engine_id}/${each.id}`), ...each });
  return [...all.values()].toSorted((a, b) => a.engine_id.localeCompare(b.engine_id) || a.name.localeCompare(b.name));
}

/** The engines of which the page sees only what was last known. */
function useAway(): ReadonlySet<string> {
  return new Set(
    useItems("engines")
      .filter((engine) => engine.connection === "offline" || engine.connection === "never")
      .map((engine) => engine.engine_id),
  );
}

function StrategyList({ strategies, chosen }: { strategies: readonly Strategy[]; chosen: Strategy | undefined }) {
  const t = useT();
  const [, navigate] = useLocation();
  const offline = useLink().liveness === "offline";
  const away = useAway();
  const engines = [...new Set(strategies.map((each) => each.engine_id))];
  return (
    <Panel title={t("strategies.list")} testId="strategies" dated={offline} flush>
      {engines.map((engine) => (
        <div key={engine} className="strategy-group">
          <h3 className="faint">{engine}</h3>
          <ul>
            {strategies
              .filter((each) => each.engine_id === engine)
              .map((each) => {
                const look = strategyLook(each, t);
                return (
                  <li key={each.id}>
                    <button
                      type="button"
                      className="strategy-row"
                      aria-current={each === chosen}
                      onClick={() => navigate(`/strategies/${encodeURIComponent(engine)}/${encodeURIComponent(each.id)}`)}
                      data-testid={`strategy-row-${engine}-${each.id}`}
                    >
                      <span>{each.name}</span>
                      <Status look={offline || away.has(engine) ? lastKnown(look, t) : look} testId={`strategy-state-${engine}-${each.id}`} />
                    </button>
                  </li>
                );
              })}
          </ul>
        </div>
      ))}
    </Panel>
  );
}

function StrategyDetail({ strategy }: { strategy: Strategy }) {
  const t = useT();
  const offline = useLink().liveness === "offline";
  const away = useAway();
  const stored = useQuery({
    queryKey: parametersKey(strategy.engine_id, strategy.id),
    queryFn: () => call({ path: `/api/engines/${encodeURIComponent(strategy.engine_id)}/parameters?strategy_id=${encodeURIComponent(strategy.id)}`, answer: StrategyParameters }),
  });
  const look = strategyLook(strategy, t);
  return (
    <div className="stack">
      <Panel
        title={strategy.name}
        beside={
          <>
            <span className="faint small mono">
              {strategy.engine_id} / {strategy.id}
            </span>
            <Status look={offline || away.has(strategy.engine_id) ? lastKnown(look, t) : look} />
          </>
        }
        end={
          <>
            <StrategyControl strategy={strategy} offline={offline || away.has(strategy.engine_id)} />
            <Button small testId="strategy-stop-open" onClick={() => openStopDialog(`strategy:${strategy.engine_id}/${strategy.id}`)}>
              <Icon shape="octagon" size={10} /> {t("strategy.stop_this")}
            </Button>
          </>
        }
        testId="strategy-detail"
      >
        {stored.error && (
          <Notice tone="crit" shape="cross" role="alert" testId="strategy-error">
            {errorText(stored.error, t)}{" "}
            <button type="button" className="link" onClick={() => void stored.refetch()} data-testid="strategy-retry">
              {t("retry")}
            </button>
          </Notice>
        )}
        {stored.data ? <ParameterForm strategy={strategy} stored={stored.data.value} etag={stored.data.etag} offline={offline} /> : !stored.error && <Skeleton rows={4} />}
      </Panel>
      <ParameterHistory strategy={strategy} stored={stored.data?.value ?? null} etag={stored.data?.etag ?? null} offline={offline} />
    </div>
  );
}
