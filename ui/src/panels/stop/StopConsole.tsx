import { useMutation, useQuery } from "@tanstack/react-query";
import { useEffect } from "react";
import { Link } from "wouter";
import * as v from "valibot";
import { age, clock, clockMillis, dateTime, grouped, millis } from "../../i18n/format";
import { Button } from "../../kit/Button";
import { Icon } from "../../kit/icons";
import { Empty, Panel } from "../../kit/Panel";
import { Badge, Notice, Status } from "../../kit/Status";
import { call, readDocument } from "../../link/rest";
import { useSession } from "../../link/session";
import { useNow } from "../../store/clock";
import { live, useItems, useLink, useTopic } from "../../store/live";
import { useLook, useT } from "../../store/preferences";
import { toast } from "../../store/toasts";
import { may } from "../../wire/common";
import { Stop, type StopResult } from "../../wire/items";
import { listOf } from "../../wire/rest";
import { useWho } from "../who";
import { errorText, eventWord, FINAL_PHASES, levelWord, phaseLook, reached, saidWord, scopeWord, stepsOf, stopLook } from "../words";
import { openStopDialog } from "./ask";
import { ReleasePart } from "./Release";

const CONFIRMATION = "error_confirmation_needed";
const REPORTS = [
  ["html", "text/html"],
  ["md", "text/markdown"],
  ["json", "application/json"],
] as const;

const COLUMNS = [
  ["health.engine", ""],
  ["stop.phase", ""],
  ["stop.steps", ""],
  ["stop.ms_to_frozen", "num"],
  ["stop.orders", "num"],
  ["stop.positions", "num"],
  ["stop.flatness", ""],
  ["stop.as_of", "num"],
] as const;

/** The platform gives an engine this long before it calls the stop timed out. */
const DEADLINE_MS = 30_000;
/** What was read of the broker longer ago than this may be otherwise by now. */
const STALE_MS = 15_000;

export function StopConsole({ stopId }: { stopId: string | null }) {
  const t = useT();
  const stops = useItems("stops").toSorted((a, b) => b.epoch - a.epoch);
  const known = stopId === null ? undefined : stops.find((stop) => stop.stop_id === stopId);
  const open = stops.filter((stop) => stop.released_at === null);
  const shown = known ?? (stopId === null ? open[0] : undefined);
  return (
    <div className="stack">
      <div className="page-head">
        <h1>{t("stops.title")}</h1>
        <DrillBadge />
        <Button testId="stops-new" onClick={() => openStopDialog()}>
          <Icon shape="octagon" size={12} /> {t("stops.new")}
        </Button>
      </div>
      {shown ? <StopBoard stop={shown} /> : stopId !== null ? <Fetched stopId={stopId} /> : <NoStop />}
      <StopHistory stops={stops} current={shown?.stop_id ?? null} />
    </div>
  );
}

/** A stop that nobody has practised for a month may not go as it should. */
function DrillBadge() {
  const t = useT();
  const drill = useTopic("system").items.get("platform")?.drill;
  if (!drill || drill.overdue === null) return null;
  const last = drill.last_at === null ? t("drill.never") : t("drill.last", { time: dateTime(drill.last_at) });
  return (
    <Badge tone={drill.overdue ? "warn" : "idle"} shape={drill.overdue ? "triangle" : "check"} testId="drill-badge">
      {drill.overdue ? `${t("drill.overdue")} · ${last}` : last}
    </Badge>
  );
}

function NoStop() {
  const t = useT();
  return (
    <Panel title={t("stops.open")} testId="stops-none">
      <Empty title={t("stops.none")} testId="stops-empty">
        {t("stops.none.next")}
      </Empty>
    </Panel>
  );
}

/** A stop this page has not heard of by the link. */
function Fetched({ stopId }: { stopId: string }) {
  const t = useT();
  const stop = useQuery({ queryKey: ["stop", stopId], queryFn: async () => (await call({ path: `/api/stops/${encodeURIComponent(stopId)}`, answer: Stop })).value });
  useEffect(() => {
    if (stop.data) live.takeOne("stops", stop.data, Date.now());
  }, [stop.data]);
  return stop.error ? (
    <Notice tone="crit" shape="cross" role="alert" testId="stop-not-found">
      {errorText(stop.error, t)}
    </Notice>
  ) : null;
}

function StopBoard({ stop }: { stop: Stop }) {
  const t = useT();
  const { language } = useLook();
  const who = useWho();
  const now = useNow();
  const offline = useLink().liveness === "offline";
  const steps = stepsOf(stop.level);
  const results = stop.results.toSorted((a, b) => concern(a) - concern(b) || a.engine_id.localeCompare(b.engine_id));
  const verified = results.filter((result) => result.phase === "verified").length;
  const unfinished = results.filter((result) => !FINAL_PHASES.has(result.phase)).length;
  const manual = results.filter((result) => result.phase === "failed" || result.phase === "timed_out" || result.phase === "unreachable");
  const end = endOf(stop);
  const elapsed = (end ?? live.serverNow(now)) - (millis(stop.requested_at) ?? 0);
  const running = stop.state === "running" && stop.released_at === null;
  return (
    <Panel
      title={t(stop.drill ? "stop.title.drill" : "stop.title", { scope: scopeWord(stop.scope, t) })}
      beside={<Status look={stopLook(stop, t)} testId="stop-state" />}
      end={
        <>
          {stop.drill && <Badge tone="warn">{t("stop.drill")}</Badge>}
          {stop.released_at === null && !stop.drill && stop.level !== "FLATTEN" && (
            <Button small testId="stop-raise" onClick={() => openStopDialog(stop.scope)}>
              {t("stop.raise")}
            </Button>
          )}
          <Badge tone={stop.durable ? "ok" : "warn"} shape={stop.durable ? "check" : "triangle"} testId="stop-durable">
            {stop.durable ? t("stop.durable") : t("stop.not_durable")}
          </Badge>
        </>
      }
      testId="stop-board"
      dated={offline}
      flush
    >
      <dl className="stop-facts" data-testid="stop-facts">
        <Fact label={t("stop.level")}>{levelWord(stop.level, t)}</Fact>
        <Fact label={t("stop.by")}>{who(stop.user_id, stop.username)}</Fact>
        <Fact label={t("stop.at")}>{dateTime(stop.requested_at)}</Fact>
        <Fact label={t("stop.reason")}>{stop.reason ? saidWord(stop.reason, t) : t("none")}</Fact>
        <Fact label={t("stop.epoch")}>{grouped(stop.epoch)}</Fact>
        <Fact label={t("stop.id")}>
          <code>{stop.stop_id}</code>
        </Fact>
      </dl>
      <div className="stop-summary" role="status" data-testid="stop-summary">
        <strong>{t("stop.summary", { verified, total: results.length })}</strong>
        <span className="soft" data-testid="stop-elapsed">
          {t(end === null ? "stop.elapsed" : "stop.took", { age: age(elapsed, language) })}
          {running && ` · ${t("stop.unfinished", { n: unfinished })}`}
        </span>
        <span className={`meter${elapsed > DEADLINE_MS ? " tone-crit" : ""}`} hidden={!running} role="img" aria-label={t("stop.deadline")} title={t("stop.deadline")}>
          <span style={{ width: `${Math.min(100, (elapsed / DEADLINE_MS) * 100)}%` }} />
        </span>
      </div>
      {manual.length > 0 && stop.released_at === null && (
        <div className="inset">
          <Notice tone="crit" shape="square" testId="stop-manual">
            <b>{t("stop.manual")}</b> {manual.map((result) => result.engine_id).join(", ")}. {t("stop.manual.next")}
          </Notice>
        </div>
      )}
      {results.length > 0 && (
        <div className="table-scroll" tabIndex={0} role="region" aria-label={t("stop.board")}>
          <table className="table stop-table" role="table">
            <thead role="rowgroup">
              <tr role="row">
                {COLUMNS.map(([name, kind]) => (
                  <th key={name} scope="col" role="columnheader" className={kind}>
                    {t(name)}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody role="rowgroup">
              {results.map((result) => (
                <ResultRow key={result.engine_id} result={result} steps={steps} flattens={stop.level === "FLATTEN"} open={stop.released_at === null} />
              ))}
            </tbody>
          </table>
        </div>
      )}
      <ContinuePart stop={stop} />
      <ReleasePart stop={stop} />
      <ReportPart stop={stop} />
      {stop.timeline.length > 0 && <Timeline stop={stop} />}
    </Panel>
  );
}

/** Another trading session has begun: nothing is sent for what is left before a person has said it again. */
function ContinuePart({ stop }: { stop: Stop }) {
  const t = useT();
  const session = useSession();
  const waiting = stop.results.filter((result) => `${result.error ?? ""} ${result.flatness_reason ?? ""} ${result.residuals.map((each) => each.reason).join(" ")}`.includes(CONFIRMATION));
  const go = useMutation({
    mutationFn: () => call({ method: "POST", path: `/api/stops/${encodeURIComponent(stop.stop_id)}/continue`, body: {}, answer: Stop }),
    onSuccess: ({ value }) => live.takeOne("stops", value, Date.now()),
    onError: (error) => toast("crit", errorText(error, t)),
  });
  if (stop.released_at !== null || waiting.length === 0) return null;
  return (
    <div className="release-part" data-testid="stop-continue">
      <Notice tone="warn">{t("stop.continue.means", { engines: waiting.map((result) => result.engine_id).join(", ") })}</Notice>
      <div className="release-actions">
        <Button kind="primary" testId="stop-continue-confirm" busy={go.isPending} disabled={!("user" in session) || !may(session.user.role, "operator")} onClick={() => go.mutate()}>
          {t("stop.continue")}
        </Button>
      </div>
    </div>
  );
}

/** The report the platform writes by itself, to be kept elsewhere. */
function ReportPart({ stop }: { stop: Stop }) {
  const t = useT();
  const { language } = useLook();
  const save = useMutation({
    mutationFn: async ([kind, mime]: readonly [string, string]) => {
      const text = await readDocument(`/api/stops/${encodeURIComponent(stop.stop_id)}/report?lang=${language}`, mime);
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([text], { type: mime }));
      link.download = `${stop.stop_id}.${kind}`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1_000);
    },
    onError: (error) => toast("crit", errorText(error, t)),
  });
  return (
    <div className="release-part report-part">
      <span className="small soft">{t("report.what")}</span>
      {REPORTS.map(([kind, mime]) => (
        <Button key={kind} small testId={`report-${kind}`} disabled={save.isPending} onClick={() => save.mutate([kind, mime])}>
          {t("report.save", { kind: kind.toUpperCase() })}
        </Button>
      ))}
    </div>
  );
}

function ResultRow({ result, steps, flattens, open }: { result: StopResult; steps: readonly StopResult["phase"][]; flattens: boolean; open: boolean }) {
  const t = useT();
  const { language } = useLook();
  const now = live.serverNow(useNow());
  const read = millis(result.flatness_as_of);
  const since = read === null ? null : now - read;
  const counts = (done: number, left: number | null) => `${grouped(done)} / ${known(result, left) ? grouped(left ?? 0) : "?"}`;
  const details = [
    ...result.residuals.map((each) => `${each.symbol} ${grouped(each.quantity)}${t("shares")}: ${saidWord(each.reason, t)}${each.until ? ` (${t("until", { time: dateTime(each.until) })})` : ""}`),
    ...(result.error ? [saidWord(result.error, t)] : []),
    ...(result.flatness === "UNKNOWN" && result.flatness_reason ? [saidWord(result.flatness_reason, t)] : []),
  ];
  return (
    <>
      <tr role="row" data-testid={`stop-result-${result.engine_id}`}>
        <td role="cell" className="nowrap">
          {result.engine_id}
        </td>
        <td role="cell">
          <Status look={phaseLook(result.phase, t)} testId={`stop-phase-${result.engine_id}`} />
        </td>
        <td role="cell">
          <ol className="steps">
            {steps.map((step) => (
              <li key={step} data-done={reached(result, step) || undefined}>
                <Icon shape={reached(result, step) ? "check" : "ring"} size={10} />
                {t(`phase.${step}`)}
                <span className="visually-hidden">{t(!reached(result, step) ? "step.open" : step === "verified" ? "step.done" : "step.reached")}</span>
              </li>
            ))}
          </ol>
        </td>
        <td role="cell" className="num" data-label={t("stop.ms_to_frozen")} data-testid={`stop-frozen-${result.engine_id}`}>
          {result.ms_to_frozen === null ? "–" : `${grouped(result.ms_to_frozen)} ms`}
        </td>
        <td role="cell" className="num" data-label={t("stop.orders")}>
          {counts(result.orders_cancelled, result.orders_remaining)}
        </td>
        <td role="cell" className="num" data-label={t("stop.positions")}>
          {flattens ? counts(result.positions_liquidated, result.positions_remaining) : "–"}
        </td>
        <td role="cell" className="nowrap" data-label={t("stop.flatness")}>
          <Flatness result={result} />
        </td>
        <td role="cell" className="num" data-label={t("stop.as_of")} data-testid={`stop-as-of-${result.engine_id}`}>
          {since === null ? "–" : !open ? clock(read) : <span className={since > STALE_MS ? "tone-text-warn aged" : ""}>{t("ago", { age: age(since, language) })}</span>}
        </td>
      </tr>
      {details.length > 0 && (
        <tr role="row" className="stop-detail" data-testid={`stop-residuals-${result.engine_id}`}>
          <td role="cell" colSpan={COLUMNS.length}>
            <ul>
              {details.map((detail) => (
                <li key={detail}>{detail}</li>
              ))}
            </ul>
          </td>
        </tr>
      )}
    </>
  );
}

/** That nothing is left is known by reads of the broker alone: where those say nothing, it is not. */
function known(result: StopResult, left: number | null): boolean {
  const wasRead = result.phase === "cancelled" || result.phase === "flattened";
  return left !== null && (left > 0 || result.flatness !== "UNKNOWN" || wasRead);
}

function Flatness({ result }: { result: StopResult }) {
  const t = useT();
  const tone = result.flatness === "FLAT" ? "ok" : result.flatness === "NOT_FLAT" ? "warn" : "idle";
  return (
    <span title={result.flatness_as_of ? t("as_of", { time: clock(result.flatness_as_of) }) : undefined}>
      <Badge tone={tone}>{t(`flatness.${result.flatness}`)}</Badge>
    </span>
  );
}

function Timeline({ stop }: { stop: Stop }) {
  const t = useT();
  return (
    <details className="timeline">
      <summary data-testid="stop-timeline">
        {t("stop.timeline")} ({stop.timeline.length})
      </summary>
      <ol>
        {stop.timeline.map((event, i) => (
          <li key={i}>
            <time className="mono" dateTime={event.at}>
              {clockMillis(event.at)}
            </time>
            <span>{event.engine_id ?? t("platform")}</span>
            <span>
              {eventWord(event.event, t)}
              {event.detail && <span className="soft"> · {saidWord(event.detail, t)}</span>}
            </span>
          </li>
        ))}
      </ol>
    </details>
  );
}

function StopHistory({ stops, current }: { stops: readonly Stop[]; current: string | null }) {
  const t = useT();
  const who = useWho();
  const older = useQuery({ queryKey: ["stops"], queryFn: async () => (await call({ path: "/api/stops?limit=100&newest=true", answer: listOf(v.unknown()) })).value.items });
  const parsed = (older.data ?? []).flatMap((item) => {
    const result = v.safeParse(Stop, item);
    return result.success ? [result.output] : [];
  });
  const all = [...new Map([...parsed, ...stops].map((stop) => [stop.stop_id, stop])).values()].toSorted((a, b) => (millis(b.requested_at) ?? 0) - (millis(a.requested_at) ?? 0) || b.epoch - a.epoch);
  if (all.length === 0) return null;
  return (
    <Panel title={t("stops.history")} testId="stops-history" flush>
      <div className="table-scroll" tabIndex={0} role="region" aria-label={t("stops.history")}>
        <table className="table">
          <thead>
            <tr>
              <th scope="col">{t("stop.at")}</th>
              <th scope="col">{t("stop.state")}</th>
              <th scope="col">{t("stop.scope")}</th>
              <th scope="col">{t("stop.level")}</th>
              <th scope="col">{t("stop.by")}</th>
              <th scope="col">{t("stop.reason")}</th>
              <th scope="col">{t("stop.released_at")}</th>
            </tr>
          </thead>
          <tbody>
            {all.map((stop) => (
              <tr key={stop.stop_id} data-current={stop.stop_id === current || undefined} data-testid={`stop-row-${stop.stop_id}`}>
                <td className="nowrap">
                  <Link href={`/stops/${stop.stop_id}`}>{dateTime(stop.requested_at)}</Link>
                </td>
                <td className="nowrap">
                  <Status look={stopLook(stop, t)} /> {stop.drill && <Badge tone="warn">{t("stop.drill")}</Badge>}
                </td>
                <td className="nowrap">{scopeWord(stop.scope, t)}</td>
                <td className="nowrap">{levelWord(stop.level, t)}</td>
                <td>{who(stop.user_id, stop.username)}</td>
                <td className="words">{stop.reason ? saidWord(stop.reason, t) : "–"}</td>
                <td className="nowrap">{dateTime(stop.released_at)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}

function Fact({ label, children }: { label: string; children: React.ReactNode }) {
  return (
    <div>
      <dt>{label}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** When the last engine was through, or when it was released; null while nobody knows. */
function endOf(stop: Stop): number | null {
  const ends = stop.state === "running" ? [] : stop.results.map((result) => millis(result.completed_at));
  const known = ends.filter((at) => at !== null);
  return ends.length > 0 && known.length === ends.length ? Math.max(...known) : millis(stop.released_at);
}

function concern(result: StopResult): number {
  if (result.phase === "failed" || result.phase === "timed_out") return 0;
  if (result.phase === "unreachable") return 1;
  return FINAL_PHASES.has(result.phase) ? 3 : 2;
}
