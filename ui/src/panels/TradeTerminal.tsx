import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useMemo, useRef, useState } from "react";
import { clock, clockMillis, utc } from "../i18n/format";
import { Button } from "../kit/Button";
import { SelectField } from "../kit/Field";
import { Icon } from "../kit/icons";
import { Empty, Panel, Skeleton } from "../kit/Panel";
import { Badge } from "../kit/Status";
import { useItems, useLink, useTrades } from "../store/live";
import { useT } from "../store/preferences";
import { matches, type LogRow } from "../store/topics";

const ROW = { log: 34, trade: 56, gap: 34, malformed: 56 };
const CATEGORIES = ["all", "Trade", "Strategy", "System"] as const;
/** Within this many pixels of the end the reader follows the newest row. */
const AT_END = 48;

/** The engines' story as it happens: filtered, searchable, pausable, and honest about what is missing from it. */
export function TradeTerminal() {
  const t = useT();
  const { ring, version, badFrames } = useTrades();
  const offline = useLink().liveness === "offline";
  const [category, setCategory] = useState<string>("all");
  const [engine, setEngine] = useState("all");
  const [search, setSearch] = useState("");
  const [held, setHeld] = useState<readonly LogRow[] | null>(null);
  const [chosen, setChosen] = useState<LogRow | null>(null);
  const source = held ?? ring.rows;
  const rows = useMemo(() => source.filter((row) => matches(row, { category, engine, search })), [source, version, category, engine, search]);
  const newest = ring.rows.at(-1)?.seq ?? 0;
  const waiting = held ? newest - (held.at(-1)?.seq ?? newest) : 0;
  const malformed = ring.malformed + badFrames;
  const pause = () => setHeld((before) => (before ? null : [...ring.rows]));
  useTerminalKeys(pause);

  return (
    <Panel
      title={t("terminal.title")}
      testId="trade-terminal"
      dated={offline}
      flush
      beside={
        <>
          <span className="small faint" data-testid="terminal-count">
            {t("terminal.count", { shown: rows.length, total: source.length })}
          </span>
          {malformed > 0 && (
            <Badge tone="warn" shape="triangle" testId="terminal-malformed">
              {t("terminal.malformed", { n: malformed })}
            </Badge>
          )}
        </>
      }
      end={
        <>
          {waiting > 0 && (
            <Badge tone="ok" testId="terminal-waiting">
              {t("terminal.waiting", { n: waiting })}
            </Badge>
          )}
          <Button small testId="terminal-pause" aria-pressed={held !== null} onClick={pause} title="P">
            <Icon shape={held ? "arrow" : "pause"} size={10} />
            {held ? t("terminal.resume") : t("terminal.pause")}
          </Button>
        </>
      }
    >
      <div className="terminal-bar">
        <div className="segments" role="group" aria-label={t("terminal.category")}>
          {CATEGORIES.map((each) => (
            <button key={each} type="button" aria-pressed={category === each} onClick={() => setCategory(each)} data-testid={`terminal-category-${each}`}>
              {t(`category.${each}`)}
            </button>
          ))}
        </div>
        <EngineChoice value={engine} onChange={setEngine} />
        <input
          type="search"
          className="input input-small terminal-search"
          placeholder={t("terminal.search")}
          aria-label={t("terminal.search")}
          aria-keyshortcuts="/"
          value={search}
          onChange={(event) => setSearch(event.target.value)}
          data-testid="terminal-search"
        />
      </div>
      {!ring.loaded && ring.rows.length === 0 ? (
        <Skeleton rows={6} />
      ) : rows.length === 0 ? (
        <Empty title={source.length === 0 ? t("terminal.empty") : t("terminal.nothing")} testId="terminal-empty">
          {source.length === 0 ? t("terminal.empty.next") : t("terminal.nothing.next")}
        </Empty>
      ) : (
        <div className="terminal-body" data-record={chosen !== null || undefined}>
          <Rows rows={rows} paused={held !== null} chosen={chosen} onChoose={setChosen} />
          {chosen && <Record row={chosen} onClose={() => setChosen(null)} />}
        </div>
      )}
    </Panel>
  );
}

function EngineChoice({ value, onChange }: { value: string; onChange: (engine: string) => void }) {
  const t = useT();
  const engines = useItems("engines");
  const options = [["all", t("terminal.all_engines")] as const, ...engines.map((engine) => [engine.engine_id, engine.name] as const).toSorted((a, b) => a[1].localeCompare(b[1]))];
  return <SelectField label={t("terminal.engine")} hideLabel className="input-small" options={options} value={value} onChange={(event) => onChange(event.target.value)} testId="terminal-engine" />;
}

function Rows({ rows, paused, chosen, onChoose }: { rows: readonly LogRow[]; paused: boolean; chosen: LogRow | null; onChoose: (row: LogRow | null) => void }) {
  const t = useT();
  const scroller = useRef<HTMLDivElement>(null);
  const [following, setFollowing] = useState(true);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: (index) => heightOf(rows[index]),
    getItemKey: (index) => rows[index]?.seq ?? index,
    overscan: 12,
  });
  const last = rows.at(-1)?.seq;
  useEffect(() => {
    if (following && !paused && rows.length > 0) virtual.scrollToIndex(rows.length - 1, { align: "end" });
  }, [last, following, paused, rows.length, virtual]);
  const onScroll = () => {
    const box = scroller.current;
    if (box) setFollowing(box.scrollHeight - box.scrollTop - box.clientHeight < AT_END);
  };
  return (
    <div className="terminal-view">
      <div ref={scroller} className="terminal-rows" onScroll={onScroll} tabIndex={0} role="log" aria-live="off" aria-label={t("terminal.title")} data-testid="terminal-rows">
        <div style={{ height: virtual.getTotalSize(), position: "relative" }}>
          {virtual.getVirtualItems().map((item) => {
            const row = rows[item.index];
            return (
              row && (
                <div key={item.key} className="terminal-slot" style={{ height: item.size, transform: `translateY(${item.start}px)` }}>
                  <Row row={row} chosen={row === chosen} onChoose={onChoose} />
                </div>
              )
            );
          })}
        </div>
      </div>
      {!following && !paused && (
        <Button small className="terminal-tail" testId="terminal-tail" onClick={() => setFollowing(true)}>
          {t("terminal.tail")}
        </Button>
      )}
    </div>
  );
}

function heightOf(row: LogRow | undefined): number {
  if (!row) return ROW.log;
  return row.kind === "log" ? (row.log.reason ? ROW.trade : ROW.log) : ROW[row.kind];
}

function Row({ row, chosen, onChoose }: { row: LogRow; chosen: boolean; onChoose: (row: LogRow | null) => void }) {
  const t = useT();
  if (row.kind === "gap") {
    return (
      <div className="terminal-gap" data-testid="terminal-gap">
        <Icon shape="triangle" size={10} />
        {row.lost === null ? t("terminal.gap") : t("terminal.gap.n", { n: row.lost })}
      </div>
    );
  }
  if (row.kind === "malformed") {
    return (
      <div className="terminal-row terminal-bad" data-testid="terminal-quarantined">
        <span className="terminal-text">
          <span>
            <Icon shape="triangle" size={10} /> {t("terminal.quarantined", { issue: row.issue })}
          </span>
          <span className="terminal-reason mono">{row.raw}</span>
        </span>
      </div>
    );
  }
  const { log } = row;
  if (log.quarantined) {
    return (
      <button type="button" className="terminal-row terminal-bad" aria-pressed={chosen} onClick={() => onChoose(chosen ? null : row)} data-testid="terminal-quarantined">
        <time className="terminal-time" dateTime={log.timestamp} title={utc(log.timestamp)}>
          {clock(log.timestamp)}
        </time>
        <span className={`terminal-category category-${log.category}`}>{t(`category.${log.category}`)}</span>
        <span className="terminal-engine">{log.engine_id}</span>
        <span className="terminal-text">
          <span>
            <Icon shape="triangle" size={10} /> {t("terminal.quarantined", { issue: log.reason ?? "" })}
          </span>
          <span className="terminal-reason mono">{log.message}</span>
        </span>
      </button>
    );
  }
  return (
    <button type="button" className={`terminal-row severity-${log.severity ?? "info"}`} aria-pressed={chosen} onClick={() => onChoose(chosen ? null : row)} data-testid="terminal-row">
      <time className="terminal-time" dateTime={log.timestamp} title={utc(log.timestamp)}>
        {clock(log.timestamp)}
      </time>
      <span className={`terminal-category category-${log.category}`}>{t(`category.${log.category}`)}</span>
      <span className="terminal-engine">{log.engine_id}</span>
      <span className="terminal-text">
        <span className="terminal-message">
          {(log.severity === "error" || log.severity === "critical" || log.severity === "warning") && (
            <span className="terminal-severity">
              <Icon shape={log.severity === "warning" ? "triangle" : "cross"} size={10} /> {t(`severity.${log.severity}`)}
            </span>
          )}
          {log.message}
        </span>
        {log.reason && (
          <span className="terminal-reason" data-testid="terminal-reason">
            <b>{t("terminal.reason")}</b> {log.reason}
          </span>
        )}
      </span>
    </button>
  );
}

/** Everything of one record, for those who have to look closely. */
function Record({ row, onClose }: { row: LogRow; onClose: () => void }) {
  const t = useT();
  if (row.kind !== "log") return null;
  const { log } = row;
  const fields = Object.entries({ ...log, timestamp: `${clockMillis(log.timestamp)} · ${log.timestamp}` }).filter(([, value]) => value !== null);
  return (
    <aside className="record" aria-label={t("terminal.record")} data-testid="terminal-record">
      <div className="record-head">
        <h3>{t("terminal.record")}</h3>
        <Button kind="quiet" small testId="terminal-record-close" aria-label={t("close")} onClick={onClose}>
          <Icon shape="cross" size={10} />
        </Button>
      </div>
      <dl>
        {fields.map(([name, value]) => (
          <div key={name}>
            <dt className="mono">{name}</dt>
            <dd>{String(value)}</dd>
          </div>
        ))}
      </dl>
    </aside>
  );
}

function useTerminalKeys(pause: () => void): void {
  const act = useRef(pause);
  act.current = pause;
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const typing = event.target instanceof HTMLElement && event.target.matches("input, select, textarea");
      if (typing || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
      if (event.key === "/") {
        event.preventDefault();
        document.querySelector<HTMLInputElement>(".terminal-search")?.focus();
      }
      if (event.key === "p" || event.key === "P") act.current();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
}
