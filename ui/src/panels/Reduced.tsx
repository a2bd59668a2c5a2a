/** Going on carefully: for some minutes no opening order above an amount leaves. */
import { useState } from "react";
import { CheckField, TextField } from "../kit/Field";
import { useT } from "../store/preferences";
import { numberOf } from "./parameters/change";

export interface ReducedLimits {
  minutes: number;
  max_order_value: number;
}

type Typed = { minutes: string; won: string } | null;

/** Whole minutes and whole won, as the server takes them; null while they are not. */
export function limitsOf(minutes: string, won: string): ReducedLimits | null {
  const [time, value] = [numberOf(minutes), numberOf(won)];
  const whole = Number.isInteger(time) && Number.isInteger(value);
  return whole && time !== null && value !== null && time >= 1 && time <= 120 && value >= 1 ? { minutes: time, max_order_value: value } : null;
}

/** `limits` are null while none are wanted; not `ready` while what was typed is no limit. */
export function useReduced(): { typed: Typed; set: (typed: Typed) => void; limits: ReducedLimits | null; ready: boolean } {
  const [typed, set] = useState<Typed>(null);
  const limits = typed && limitsOf(typed.minutes, typed.won);
  return { typed, set, limits, ready: typed === null || limits !== null };
}

export function ReducedFields({ reduced: { typed, set }, testId }: { reduced: ReturnType<typeof useReduced>; testId: string }) {
  const t = useT();
  return (
    <>
      <CheckField
        label={t("release.reduce")}
        hint={t("release.reduce.hint")}
        checked={typed !== null}
        onChange={(event) => set(event.target.checked ? { minutes: "30", won: "1000000" } : null)}
        testId={testId}
      />
      {typed && (
        <div className="two">
          <TextField label={t("release.reduce.minutes")} inputMode="numeric" value={typed.minutes} onChange={(event) => set({ ...typed, minutes: event.target.value })} testId={`${testId}-minutes`} />
          <TextField label={t("release.reduce.won")} inputMode="numeric" value={typed.won} onChange={(event) => set({ ...typed, won: event.target.value })} testId={`${testId}-won`} />
        </div>
      )}
    </>
  );
}
