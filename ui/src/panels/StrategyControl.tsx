import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { Button } from "../kit/Button";
import { Dialog } from "../kit/Dialog";
import { TextField } from "../kit/Field";
import { Icon } from "../kit/icons";
import { ApiError } from "../link/errors";
import { call } from "../link/rest";
import { stepUp, useSession } from "../link/session";
import { useT } from "../store/preferences";
import { toast } from "../store/toasts";
import { may } from "../wire/common";
import type { Strategy } from "../wire/items";
import { StrategyCommandResult } from "../wire/rest";
import { Proof, proofOf } from "./Proof";
import { ReducedFields, useReduced, type ReducedLimits } from "./Reduced";
import { errorText } from "./words";

/** The engine needs up to ten seconds; the platform says so itself when it did not answer. */
const TIMEOUT_MS = 15_000;

async function command(strategy: Strategy, action: "pause" | "resume", reason: string, reduced: ReducedLimits | null = null): Promise<void> {
  const path = `/api/engines/${encodeURIComponent(strategy.engine_id)}/strategies/${encodeURIComponent(strategy.id)}/${action}`;
  const { value } = await call({ method: "POST", path, body: { reason, ...(reduced && { reduced }) }, answer: StrategyCommandResult, timeoutMs: TIMEOUT_MS });
  if (value.status !== "applied") throw new ApiError(200, value.error ?? `error_command_${value.status}`, value.reason ?? "", null);
}

/** Pausing is one click; going on again is asked for with a reason and the password. What became of it the engine says. */
export function StrategyControl({ strategy, offline }: { strategy: Strategy; offline: boolean }) {
  const t = useT();
  const session = useSession();
  const [asking, setAsking] = useState(false);
  const pause = useMutation({
    mutationFn: () => command(strategy, "pause", ""),
    onError: (error) => toast("crit", errorText(error, t)),
  });
  const role = "user" in session ? session.user.role : "viewer";
  if (strategy.status === "paused") {
    return (
      <>
        <Button small testId="strategy-resume" disabled={offline || !may(role, "risk")} onClick={() => setAsking(true)}>
          <Icon shape="arrow" size={10} /> {t("strategy.resume")}
        </Button>
        {asking && <ResumeDialog strategy={strategy} onClose={() => setAsking(false)} />}
      </>
    );
  }
  return (
    <Button small testId="strategy-pause" busy={pause.isPending} disabled={offline || !may(role, "operator")} onClick={() => pause.mutate()}>
      <Icon shape="pause" size={10} /> {t("strategy.pause")}
    </Button>
  );
}

function ResumeDialog({ strategy, onClose }: { strategy: Strategy; onClose: () => void }) {
  const t = useT();
  const [reason, setReason] = useState("");
  const reduced = useReduced();
  const resume = useMutation({
    mutationFn: async (proof: { password: string; totp: string }) => {
      await stepUp(proof.password, proof.totp);
      await command(strategy, "resume", reason, reduced.limits);
    },
    onSuccess: onClose,
  });
  return (
    <Dialog title={t("strategy.resume.title", { name: strategy.name })} onClose={onClose} testId="resume-dialog">
      <form onSubmit={(event) => resume.mutate(proofOf(event))}>
        <div className="dialog-body">
          <TextField label={t("strategy.resume.reason")} value={reason} onChange={(event) => setReason(event.target.value)} required maxLength={500} data-autofocus testId="resume-reason" />
          <ReducedFields reduced={reduced} testId="resume-reduce" />
          <Proof error={resume.error} />
        </div>
        <div className="dialog-foot">
          <Button testId="resume-cancel" onClick={onClose}>
            {t("cancel")}
          </Button>
          <Button kind="primary" type="submit" testId="resume-submit" busy={resume.isPending} disabled={reason.trim() === "" || !reduced.ready}>
            {t("strategy.resume")}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
