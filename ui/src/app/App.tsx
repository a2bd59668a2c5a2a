import { useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import { Route, Switch } from "wouter";
import { Empty } from "../kit/Panel";
import { closeLink, openLink } from "../link/link";
import { restore, useSession } from "../link/session";
import { useT } from "../store/preferences";
import { Login, Mark } from "../panels/Login";
import { Overview } from "../panels/Overview";
import { Settings } from "../panels/Settings";
import { StopConsole } from "../panels/stop/StopConsole";
import { Strategies } from "../panels/Strategies";
import { SystemHealthPanel } from "../panels/SystemHealthPanel";
import { TradeTerminal } from "../panels/TradeTerminal";
import { Shell } from "./Shell";

export function App() {
  const session = useSession();
  const queries = useQueryClient();
  useEffect(() => void restore(), []);
  useEffect(() => {
    if (session.phase === "in") {
      openLink();
      // What failed because the session had ended is asked for again.
      void queries.invalidateQueries();
    }
    if (session.phase === "out") closeLink();
  }, [session.phase, queries]);
  if (session.phase === "restoring") return <Waiting />;
  if (session.phase === "out") return <Login />;
  return (
    <Shell session={session}>
      <Pages />
    </Shell>
  );
}

function Waiting() {
  return (
    <main className="login" aria-busy="true">
      <Mark size={48} />
    </main>
  );
}

function Pages() {
  const t = useT();
  return (
    <Switch>
      <Route path="/" component={Overview} />
      <Route path="/strategies/:engine/:strategy">{({ engine, strategy }) => <Strategies engineId={decodeURIComponent(engine)} strategyId={decodeURIComponent(strategy)} />}</Route>
      <Route path="/strategies">
        <Strategies engineId={null} strategyId={null} />
      </Route>
      <Route path="/terminal">
        <div className="page-full">
          <h1 className="visually-hidden">{t("nav.terminal")}</h1>
          <TradeTerminal />
        </div>
      </Route>
      <Route path="/health">
        <div className="stack">
          <h1 className="visually-hidden">{t("nav.health")}</h1>
          <SystemHealthPanel />
        </div>
      </Route>
      <Route path="/stops/:id">{({ id }) => <StopConsole stopId={decodeURIComponent(id)} />}</Route>
      <Route path="/stops">
        <StopConsole stopId={null} />
      </Route>
      <Route path="/settings" component={Settings} />
      <Route>
        <Empty title={t("page.none")} testId="page-none" />
      </Route>
    </Switch>
  );
}
