import { useMutation, useQueryClient, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { isKey } from "../../i18n";
import { dateTime, grouped, millis } from "../../i18n/format";
import { Button } from "../../kit/Button";
import { Dialog } from "../../kit/Dialog";
import { CheckField, TextField } from "../../kit/Field";
import { Icon } from "../../kit/icons";
import { Notice } from "../../kit/Status";
import { ApiError } from "../../link/errors";
import { call } from "../../link/rest";
import { stepUp, useSession } from "../../link/session";
import { Proof, proofOf } from "../Proof";
import { ReducedFields, useReduced } from "../Reduced";
import { useNow } from "../../store/clock";
import { live } from "../../store/live";
import { useT } from "../../store/preferences";
import { may } from "../../wire/common";
import type { Stop } from "../../wire/items";
import { Release } from "../../wire/rest";
import { useWho } from "../who";
import { levelWord, saidWord, scopeWord } from "../words";

/** Ends a stop: one person asks, another one (or, at a desk of one, the same person after a minute) agrees. */
export function ReleasePart({ stop }: { stop: Stop }) {
  const t = useT();
  const session = useSession();
  const [asking, setAsking] = useState<"release" | "approve" | null>(null);
  const release = useAskedRelease(stop);
  const now = useNow();
  if (stop.released_at !== null) {
    return (
      <p className="release-part soft" data-testid="stop-released">
        <Icon shape="check" size={12} /> {t("release.done", { time: dateTime(stop.released_at) })}
      </p>
    );
  }
  const allowed = "user" in session && may(session.user.role, "risk");
  const notBefore = millis(release?.not_before ?? null);
  const requested = release?.state === "requested";
  const own = requested && "user" in session && release.requested_by === session.user.id;
  const wait = notBefore === null ? 0 : Math.ceil((notBefore - live.serverNow(now)) / 1000);
  return (
    <div className="release-part" id="release" tabIndex={-1} data-testid="release">
      {release && <Checklist release={release} />}
      <div className="release-actions">
        <p className="small soft" data-testid="release-how">
          {!allowed ? t("release.needs_risk") : own && notBefore === null ? t("release.other") : t("release.how")}
        </p>
        <Button kind={requested ? "plain" : "primary"} testId="release-open" disabled={!allowed} onClick={() => setAsking("release")}>
          {t("release.request")}
        </Button>
        <Button kind={requested && !(own && (wait > 0 || notBefore === null)) ? "primary" : "plain"} testId="release-approve-open" disabled={!allowed || !requested} onClick={() => setAsking("approve")}>
          {wait > 0 && own ? t("release.approve.in", { n: wait }) : t("release.approve")}
        </Button>
      </div>
      {asking === "release" && <ReleaseDialog stop={stop} onClose={() => setAsking(null)} />}
      {asking === "approve" && <ApproveDialog stop={stop} release={release} onClose={() => setAsking(null)} />}
    </div>
  );
}

const releaseKey = (stopId: string) => ["release", stopId];
const REFRESH_MS = 3_000;

/** What was asked for, by whoever it was: the second person sees what the first one saw. */
function useAskedRelease(stop: Stop): Release | null {
  const { data } = useQuery<Release | null>({
    queryKey: releaseKey(stop.stop_id),
    queryFn: () => readRelease(stop.stop_id),
    enabled: stop.released_at === null,
    refetchInterval: REFRESH_MS,
    retry: false,
  });
  return data ?? null;
}

async function readRelease(stopId: string): Promise<Release | null> {
  try {
    return (await call({ path: `/api/stops/${encodeURIComponent(stopId)}/release`, answer: Release })).value;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  }
}

function Checklist({ release }: { release: Release }) {
  const t = useT();
  const who = useWho();
  return (
    <div className="checklist" data-testid="release-checklist">
      <h3>
        {t(`release.state.${release.state}`)} · {who(release.requested_by, release.requested_by_name)}
        {release.requested_at && <span className="soft"> · {dateTime(release.requested_at)}</span>}
      </h3>
      {release.reason && <p className="small">{release.reason}</p>}
      <ul>
        {release.checklist.map((item) => (
          <li key={item.name} className={item.ok ? "tone-ok" : "tone-crit"}>
            <Icon shape={item.ok ? "check" : "cross"} size={12} />
            <span>
              {isKey(`checklist.${item.name}`) ? t(`checklist.${item.name}` as "checklist.reconciled") : item.name}
              {item.detail && <span className="soft"> · {saidWord(item.detail, t)}</span>}
            </span>
          </li>
        ))}
        {release.waive.map(({ engine_id, reason }) => (
          <li key={engine_id} className="tone-warn" data-testid={`release-waived-${engine_id}`}>
            <Icon shape="triangle" size={12} />
            <span>
              {t("release.waived", { engine: engine_id })}
              <span className="soft"> · {reason}</span>
            </span>
          </li>
        ))}
      </ul>
      <p className="small soft">{t(release.resume ? "release.resumes" : "release.paused")}</p>
      {release.reduced && (
        <p className="small tone-warn" data-testid="release-reduced">
          {t("release.reduced", { n: release.reduced.minutes, won: grouped(release.reduced.max_order_value) })}
        </p>
      )}
    </div>
  );
}

/** The password first, so that the server sees a person who has just proved who they are. */
function useConfirmed(stop: Stop, path: string, body: () => object, onDone: () => void) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: async (proof: { password: string; totp: string }) => {
      await stepUp(proof.password, proof.totp);
      return (await call({ method: "POST", path: `/api/stops/${encodeURIComponent(stop.stop_id)}/${path}`, body: body(), answer: Release })).value;
    },
    onSuccess: (release) => {
      queries.setQueryData(releaseKey(stop.stop_id), release);
      onDone();
    },
  });
}

/**
 * The stop as it was when the dialog opened: only what a person has seen is released. Once the stop is raised, or another
 * one is on the page, nothing can be sent from here any more, and the person looks again.
 */
function useSeen(stop: Stop): { seen: Stop; moved: boolean } {
  const [seen] = useState(stop);
  return { seen, moved: stop.stop_id !== seen.stop_id || stop.epoch !== seen.epoch };
}

function Moved({ stop }: { stop: Stop }) {
  const t = useT();
  return (
    <Notice tone="crit" role="alert" reveal testId="release-moved">
      {t("release.moved", { level: levelWord(stop.level, t), scope: scopeWord(stop.scope, t), n: grouped(stop.epoch) })}
    </Notice>
  );
}

function ReleaseDialog({ stop, onClose }: { stop: Stop; onClose: () => void }) {
  const t = useT();
  const [reason, setReason] = useState("");
  const [resume, setResume] = useState(false);
  const reduced = useReduced();
  const [waived, setWaived] = useState<Readonly<Record<string, string>>>({});
  const { seen, moved } = useSeen(stop);
  const unproved = (moved ? seen : stop).results.filter((result) => result.phase !== "verified" && result.phase !== "released" && result.phase !== "superseded");
  const waive = Object.entries(waived).map(([engine_id, why]) => ({ engine_id, reason: why }));
  const request = useConfirmed(seen, "release", () => ({ reason, epoch: seen.epoch, waive, resume, ...(reduced.limits && { reduced: reduced.limits }) }), onClose);
  const ready = reason.trim() !== "" && waive.every((each) => each.reason.trim() !== "") && reduced.ready;
  return (
    <Dialog title={t("release.title", { scope: scopeWord(seen.scope, t) })} onClose={onClose} testId="release-dialog">
      <form onSubmit={(event) => request.mutate(proofOf(event))}>
        <div className="dialog-body">
          <TextField label={t("release.reason")} value={reason} onChange={(event) => setReason(event.target.value)} required maxLength={500} data-autofocus testId="release-reason" />
          {unproved.length > 0 && (
            <fieldset className="waivers">
              <legend className="field-label">{t("release.waive")}</legend>
              <p className="field-hint">{t("release.waive.hint")}</p>
              {unproved.map(({ engine_id, phase }) => (
                <div key={engine_id}>
                  <CheckField
                    label={`${engine_id} · ${t(`phase.${phase}`)}`}
                    checked={engine_id in waived}
                    testId={`release-waive-${engine_id}`}
                    onChange={(event) => setWaived(({ [engine_id]: _, ...rest }) => (event.target.checked ? { ...rest, [engine_id]: "" } : rest))}
                  />
                  {engine_id in waived && (
                    <TextField
                      label={t("release.waive.reason", { engine: engine_id })}
                      value={waived[engine_id] ?? ""}
                      maxLength={500}
                      onChange={(event) => setWaived((before) => ({ ...before, [engine_id]: event.target.value }))}
                      testId={`release-waive-reason-${engine_id}`}
                    />
                  )}
                </div>
              ))}
            </fieldset>
          )}
          <CheckField label={t("release.resume")} checked={resume} onChange={(event) => setResume(event.target.checked)} testId="release-resume" />
          <ReducedFields reduced={reduced} testId="release-reduce" />
          <Proof error={request.error} />
          {moved && <Moved stop={stop} />}
        </div>
        <div className="dialog-foot">
          <Button testId="release-cancel" onClick={onClose}>
            {moved ? t("release.look") : t("cancel")}
          </Button>
          <Button kind="primary" type="submit" testId="release-submit" busy={request.isPending} disabled={!ready || moved}>
            {t("release.request")}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

/** Approves exactly the request and the stop that are on the screen: if either has changed, nothing happens. */
function ApproveDialog({ stop, release, onClose }: { stop: Stop; release: Release | null; onClose: () => void }) {
  const t = useT();
  const [asked] = useState(release);
  const { seen, moved } = useSeen(stop);
  const waived = asked?.waive.length ?? 0;
  const approve = useConfirmed(seen, "approve", () => ({ epoch: seen.epoch, ...(asked && { release_id: asked.id }) }), onClose);
  return (
    <Dialog title={t("release.approve.title", { scope: scopeWord(seen.scope, t) })} role="alertdialog" onClose={onClose} testId="approve-dialog">
      <form onSubmit={(event) => approve.mutate(proofOf(event))}>
        <div className="dialog-body">
          {asked && <Checklist release={asked} />}
          <Notice tone="warn">{t("release.approve.means")}</Notice>
          <Proof error={approve.error} />
          {moved && <Moved stop={stop} />}
        </div>
        <div className="dialog-foot">
          <Button data-autofocus testId="approve-cancel" onClick={onClose}>
            {moved ? t("release.look") : t("cancel")}
          </Button>
          <Button kind="primary" type="submit" testId="approve-submit" busy={approve.isPending} disabled={moved}>
            {waived === 0 ? t("release.approve.confirm", { n: seen.engines }) : t("release.approve.confirm.waived", { n: waived })}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
