import { useT } from "../store/preferences";
import { Alerts } from "./Alerts";
import { DeadLetters } from "./DeadLetters";
import { EngineGrid } from "./EngineGrid";
import { SystemHealthPanel } from "./SystemHealthPanel";
import { TradeTerminal } from "./TradeTerminal";

export function Overview() {
  const t = useT();
  return (
    <div className="stack">
      <h1 className="visually-hidden">{t("nav.overview")}</h1>
      <Alerts />
      <DeadLetters />
      <EngineGrid />
      <div className="overview-lower">
        <SystemHealthPanel />
        <TradeTerminal />
      </div>
    </div>
  );
}
