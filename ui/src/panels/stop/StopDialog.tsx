import { useMutation, useQuery } from "@tanstack/react-query";
import { useEffect, useId, useState } from "react";
import { useLocation } from "wouter";
import { age, grouped, millis, won, wonShort } from "../../i18n/format";
import { Button } from "../../kit/Button";
import { Dialog } from "../../kit/Dialog";
import { CheckField, SelectField, TextField } from "../../kit/Field";
import { Icon } from "../../kit/icons";
import { Notice } from "../../kit/Status";
import { ApiError } from "../../link/errors";
import { newId } from "../../link/ids";
import { call } from "../../link/rest";
import { useNow } from "../../store/clock";
import { live, useItems, useLink } from "../../store/live";
import { useLook, useT } from "../../store/preferences";
import type { Level } from "../../wire/common";
import { Stop, type EngineStatus } from "../../wire/items";
import { StopPreview } from "../../wire/rest";
import { errorText, saidWord, scopeWord } from "../words";
import { atSecondPress, closeStopDialog, useAskedStop } from "./ask";
import { Ways } from "./Ways";

const OFFERED = ["FLATTEN", "CANCEL", "HALT", "REDUCE_ONLY"] as const satisfies readonly Level[];
type Offered = (typeof OFFERED)[number];
/** A stop asked for again under the same id is the same stop, so trying again can do no harm. */
const RETRIES = 2;
/** Numbers older than this are said to be old. */
const STALE_MS = 15_000;

/** A symbol is typed: it may be one that no engine has told of. */
const SYMBOL = "symbol:";

export function StopDialogHost() {
  const scope = useAskedStop();
  return scope === null ? null : <StopDialog key={scope} opened={scope} />;
}

function StopDialog({ opened }: { opened: string }) {
  const t = useT();
  const [, navigate] = useLocation();
  const [requestId] = useState(newId);
  const [scope, setScope] = useState(opened);
  const [level, setLevel] = useState<Offered>("FLATTEN");
  const [reason, setReason] = useState("");
  const [drill, setDrill] = useState(false);
  const effect = useId();
  const engines = useItems("engines");
  const concerned = engines.filter((engine) => concerns(scope, engine));
  const reachable = concerned.filter((engine) => engine.connection === "connected" || engine.connection === "suspect");
  const offline = useLink().liveness === "offline";

  const stop = useMutation({
    mutationFn: (level: Offered) =>
      call({
        method: "POST",
        path: "/api/engines/emergency-stop",
        body: { request_id: requestId, scope, level, reason, ...(drill && { drill }) },
        headers: { prefer: "respond-async" },
        answer: Stop,
        retries: RETRIES,
        keepalive: true,
        timeoutMs: 8_000,
      }),
    onSuccess: ({ value }) => {
      live.takeOne("stops", value, Date.now());
      closeStopDialog();
      navigate(`/stops/${value.stop_id}`);
    },
  });

  useEffect(() =>
    atSecondPress(() => {
      if (stop.isPending || scope === SYMBOL) return;
      setLevel("HALT");
      stop.mutate("HALT");
    }),
  );

  return (
    <Dialog
      role="alertdialog"
      testId="stop-dialog"
      describedBy={effect}
      onClose={closeStopDialog}
      title={
        <span className="stop-title">
          <Icon shape="octagon" size={18} /> {t(drill ? "stop.title.drill" : "stop.title", { scope: scope === SYMBOL ? t("stop.one_symbol") : scopeWord(scope, t) })}
        </span>
      }
    >
      <div className="dialog-body">
        <fieldset className="levels">
          <legend className="visually-hidden">{t("stop.level")}</legend>
          {OFFERED.map((each) => (
            <label key={each} className="level" data-chosen={each === level || undefined}>
              <input type="radio" name="level" value={each} checked={each === level} onChange={() => setLevel(each)} data-testid={`stop-level-${each}`} />
              <span>
                <b>{t(`level.${each}`)}</b>
                <small>{t(`level.${each}.means`)}</small>
              </span>
            </label>
          ))}
        </fieldset>
        <Reach id={effect} scope={scope} level={level} concerned={concerned} />
        {reachable.length < concerned.length && (
          <Notice tone="warn" testId="stop-unreachable">
            {t("stop.unreachable", { n: concerned.length - reachable.length })}
          </Notice>
        )}
        {offline && (
          <Notice tone="warn" testId="stop-offline">
            <p>{t("stop.link_down")}</p>
            {!stop.error && <Ways />}
          </Notice>
        )}
        <div className="two">
          <SelectField label={t("stop.scope")} value={scope.startsWith(SYMBOL) ? SYMBOL : scope} onChange={(event) => setScope(event.target.value)} options={scopes(opened, engines, t)} testId="stop-scope" />
          {scope.startsWith(SYMBOL) && (
            <TextField label={t("stop.symbol")} value={scope.slice(SYMBOL.length)} maxLength={12} required onChange={(event) => setScope(SYMBOL + event.target.value.trim())} testId="stop-symbol" />
          )}
          <TextField label={t("stop.reason")} value={reason} maxLength={500} onChange={(event) => setReason(event.target.value)} testId="stop-reason" />
        </div>
        <CheckField
          label={t("stop.as_drill")}
          hint={t("stop.as_drill.hint")}
          checked={drill}
          testId="stop-drill"
          onChange={(event) => {
            setDrill(event.target.checked);
            setLevel(event.target.checked ? "HALT" : "FLATTEN");
          }}
        />
        {stop.error && <Failed error={stop.error} />}
      </div>
      <div className="dialog-foot">
        <Button data-autofocus testId="stop-cancel" onClick={closeStopDialog}>
          {t("cancel")}
        </Button>
        <Button kind="danger" testId="stop-confirm" busy={stop.isPending} disabled={scope === SYMBOL} onClick={() => stop.mutate(level)}>
          <Icon shape="octagon" size={14} />
          {stop.isPending ? t("stop.sending") : stop.error ? t("stop.again") : `${drill ? `${t("stop.drill")}: ` : ""}${t(`stop.confirm.${level}`, { n: concerned.length })}`}
        </Button>
      </div>
    </Dialog>
  );
}

/** What the stop will touch, from the platform's own preview, or from what this page last saw. */
function Reach({ id, scope, level, concerned }: { id: string; scope: string; level: Offered; concerned: readonly EngineStatus[] }) {
  const t = useT();
  const { language } = useLook();
  const preview = useQuery({
    queryKey: ["stop-preview", scope, level],
    queryFn: async () => (await call({ method: "POST", path: "/api/stops/preview", body: { scope, level }, answer: StopPreview, timeoutMs: 4_000 })).value,
    enabled: scope !== SYMBOL,
    retry: false,
    staleTime: 0,
    gcTime: 0,
  });
  const seen = /^(strategy|symbol):/.test(scope) ? null : concerned;
  const orders = preview.data ? preview.data.total.orders : total(seen?.map((engine) => engine.open_orders));
  const positions = preview.data ? preview.data.total.positions : total(seen?.map((engine) => engine.positions));
  const value = preview.data?.total.value ?? null;
  const blocked = preview.data?.engines.flatMap((engine) => engine.blocked.map((each) => ({ ...each, engine: engine.engine_id }))) ?? [];
  const shown = (n: number | null) => (n === null ? t("unknown") : grouped(n));
  const counted = (n: number | null) => (n === null ? "?" : grouped(n));
  const unknown = preview.data?.total.unknown ?? 0;
  const oldest = preview.data?.total.oldest_ms ?? null;
  const now = live.serverNow(useNow());
  const heard = seen?.map((engine) => millis(engine.last_heartbeat)) ?? [];
  const silent = heard.length === 0 || heard.includes(null) ? null : now - Math.min(...heard.map((at) => at ?? 0));
  return (
    <>
      <p id={id} data-testid="stop-effect">
        {t(`stop.effect.${level}`, { n: concerned.length, orders: counted(orders), positions: counted(positions), value: value === null ? t("unknown") : won(value, language) })}
      </p>
      <dl className="reach" data-testid="stop-reach">
        <div>
          <dt>{t("stop.reach.engines")}</dt>
          <dd>{concerned.length}</dd>
        </div>
        <div>
          <dt>{t("stop.reach.orders")}</dt>
          <dd>{shown(orders)}</dd>
        </div>
        <div>
          <dt>{t("stop.reach.positions")}</dt>
          <dd>{shown(positions)}</dd>
        </div>
        <div>
          <dt>{t("stop.reach.value")}</dt>
          <dd>{value === null ? t("unknown") : wonShort(value, language)}</dd>
        </div>
      </dl>
      {(unknown > 0 || oldest !== null) && (
        <p className={`small ${unknown > 0 || (oldest !== null && oldest > STALE_MS) ? "tone-warn" : "soft"}`} data-testid="stop-reach-age">
          {unknown > 0 && t("stop.reach.unknown", { n: unknown })} {oldest !== null && t("stop.reach.oldest", { age: age(oldest, language) })}
        </p>
      )}
      {preview.isError && (
        <p className="small tone-warn" data-testid="stop-reach-seen">
          {seen === null ? t("stop.reach.none") : silent === null ? t("stop.reach.seen") : `${t("stop.reach.seen")} ${t("stop.reach.oldest", { age: age(silent, language) })}`}
        </p>
      )}
      {blocked.length > 0 && level === "FLATTEN" && (
        <Notice tone="warn" testId="stop-blocked">
          {t("stop.blocked")} {blocked.map((each) => `${each.engine} ${each.symbol} (${saidWord(each.reason, t)})`).join(", ")}
        </Notice>
      )}
    </>
  );
}

/** Nothing is queued behind the operator's back: when no answer came, the other ways to stop are named, fastest first. */
function Failed({ error }: { error: unknown }) {
  const t = useT();
  const refused = error instanceof ApiError;
  return (
    <Notice tone="crit" shape="cross" role="alert" reveal testId="stop-error">
      <p>{refused ? errorText(error, t) : t("stop.failed")}</p>
      {refused && error.status === 401 && <p>{t("login.again.stop")}</p>}
      {(!refused || error.status === 401) && <Ways />}
    </Notice>
  );
}

function concerns(scope: string, engine: EngineStatus): boolean {
  const [kind, name = ""] = scope.split(/:(.*)/s);
  if (kind === "engine") return engine.engine_id === name;
  if (kind === "account") return engine.account_id === null || engine.account_id === name;
  if (kind === "strategy") return name.startsWith(`${engine.engine_id}/`);
  return true;
}

/** What engines told of themselves; of a part of an engine they told nothing. */
function total(counts: readonly (number | null)[] | undefined): number | null {
  if (counts === undefined) return null;
  return counts.reduce<number | null>((sum, each) => (sum === null || each === null ? null : sum + each), 0);
}

function scopes(opened: string, engines: readonly EngineStatus[], t: ReturnType<typeof useT>): (readonly [string, string])[] {
  const accounts = engines.flatMap((engine) => (engine.account_id === null ? [] : [`account:${engine.account_id}`]));
  const strategies = engines.flatMap((engine) => engine.strategies.map((strategy) => `strategy:${engine.engine_id}/${strategy.id}`));
  const known = ["all", ...engines.map((engine) => `engine:${engine.engine_id}`).toSorted(), ...accounts.toSorted(), ...strategies.toSorted()];
  const named = [...new Set([...known, opened])].filter((scope) => !scope.startsWith(SYMBOL)).map((scope) => [scope, scopeWord(scope, t)] as const);
  return [...named, [SYMBOL, t("stop.one_symbol")] as const];
}
