import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useForm } from "react-hook-form";
import { clock, grouped } from "../../i18n/format";
import { Button } from "../../kit/Button";
import { TextField } from "../../kit/Field";
import { Notice, Status, type Look } from "../../kit/Status";
import { ApiError, Unreachable } from "../../link/errors";
import { newId } from "../../link/ids";
import { call } from "../../link/rest";
import { useSession } from "../../link/session";
import { useTopic } from "../../store/live";
import { useT } from "../../store/preferences";
import { toast } from "../../store/toasts";
import { may } from "../../wire/common";
import { UpdateResult, type ParameterSpec, type Strategy } from "../../wire/items";
import type { StrategyParameters } from "../../wire/rest";
import { codeText, errorText } from "../words";
import { ApplyDialog } from "./ApplyDialog";
import { changesOf, inOrder, labelOf, numberOf, parametersKey, problemOf, unitOf, withUnit, type Change } from "./change";

type Typed = Record<string, string>;

/** The engine answers within 10 s; the platform says so a little later. */
const ANSWER_MS = 15_000;

/**
 * The form shows what is desired; values that change elsewhere flow into the fields not touched here, and the touched
 * ones are the diff. Nothing is applied before it was looked at in that diff.
 */
export function ParameterForm({ strategy, stored, etag, offline }: { strategy: Strategy; stored: StrategyParameters; etag: string | null; offline: boolean }) {
  const t = useT();
  const session = useSession();
  const queries = useQueryClient();
  const [reviewing, setReviewing] = useState<readonly Change[] | null>(null);
  const [requestId, setRequestId] = useState<string | null>(null);
  const schema = { ...strategy.parameter_schema, ...stored.parameter_schema };
  const values = Object.fromEntries(Object.entries(stored.desired).map(([key, value]) => [key, String(value)]));
  const form = useForm<Typed>({ values, resetOptions: { keepDirtyValues: true }, mode: "onChange" });
  const typed = form.watch();
  const changes = changesOf(stored.desired, typed, schema);
  const operator = "user" in session && may(session.user.role, "operator");

  const apply = useMutation({
    mutationFn: async (asked: { id: string; parameters: Record<string, number> }) =>
      (
        await call({
          method: "PATCH",
          path: `/api/engines/${encodeURIComponent(strategy.engine_id)}/parameters`,
          headers: { "if-match": etag ?? `"${stored.version}"` },
          body: { strategy_id: strategy.id, parameters: asked.parameters, request_id: asked.id },
          answer: UpdateResult,
          timeoutMs: ANSWER_MS,
          retries: 1,
        })
      ).value,
    onSuccess: (result) => {
      if (result.status === "applied") toast("ok", t("apply.toast.applied", { name: strategy.name }));
      if (result.status === "failed" || result.status === "expired") toast("crit", t("apply.toast.failed", { name: strategy.name }));
      if (result.status === "applied") form.reset(Object.fromEntries(Object.entries(result.parameters).map(([key, value]) => [key, String(value)])));
    },
    onSettled: () => queries.invalidateQueries({ queryKey: parametersKey(strategy.engine_id, strategy.id) }),
  });

  const confirm = () => {
    if (!reviewing) return;
    const id = newId();
    setRequestId(id);
    setReviewing(null);
    apply.mutate({ id, parameters: Object.fromEntries(reviewing.map(({ key, to }) => [key, to])) });
  };

  return (
    <form className="parameters" onSubmit={form.handleSubmit(() => setReviewing(changes))} data-testid="strategy-form" noValidate>
      {strategy.trading_state !== "NORMAL" && (
        <Notice tone="warn" shape="octagon" testId="strategy-stopped">
          {t("strategy.stopped_note")}
        </Notice>
      )}
      {differs(stored) && (
        <Notice tone="warn" testId="strategy-differs">
          {t("parameters.differ")}
        </Notice>
      )}
      <div className="parameter-grid">
        {inOrder(Object.keys(values)).map((key) => (
          <ParameterField key={key} name={key} spec={schema[key]} effective={stored.effective?.[key]} desired={stored.desired[key]} form={form} disabled={!operator} />
        ))}
      </div>
      <div className="form-foot">
        <span className="small soft" data-testid="strategy-version">
          {t("parameters.version", { version: stored.version })}
          {stored.updated_at && ` · ${clock(stored.updated_at)}`}
        </span>
        <Button testId="strategy-revert" disabled={changes.length === 0} onClick={() => form.reset(values)}>
          {t("parameters.revert")}
        </Button>
        <Button kind="primary" type="submit" testId="strategy-apply" busy={apply.isPending} disabled={!operator || offline || changes.length === 0} title={offline ? t("parameters.offline") : undefined}>
          {apply.isPending ? t("apply.pending") : t("apply.open", { n: changes.length })}
        </Button>
      </div>
      {!operator && <p className="small soft">{t("parameters.needs_operator")}</p>}
      <Outcome requestId={requestId} answer={apply.data ?? null} error={apply.error} pending={apply.isPending} schema={schema} />
      {reviewing && <ApplyDialog strategy={strategy} changes={reviewing} schema={schema} onCancel={() => setReviewing(null)} onConfirm={confirm} />}
    </form>
  );
}

function differs(stored: StrategyParameters): boolean {
  return stored.effective !== null && Object.entries(stored.desired).some(([key, value]) => stored.effective?.[key] !== undefined && stored.effective[key] !== value);
}

interface FieldProps {
  name: string;
  spec: ParameterSpec | undefined;
  effective: number | undefined;
  desired: number | undefined;
  form: ReturnType<typeof useForm<Typed>>;
  disabled: boolean;
}

function ParameterField({ name, spec, effective, desired, form, disabled }: FieldProps) {
  const t = useT();
  const text = form.watch(name) ?? "";
  const problem = form.formState.errors[name]?.message;
  const value = numberOf(text);
  const dirty = value !== null && value !== desired;
  const label = `${labelOf(name, spec, t)}${unitOf(spec, t) && ` (${unitOf(spec, t)})`}`;
  const hint = [dirty && desired !== undefined && t("parameters.now", { value: withUnit(desired, spec, t) }), spec && t("parameters.range", { low: grouped(spec.minimum), high: grouped(spec.maximum), step: grouped(spec.step) }), effective !== undefined && effective !== desired && t("parameters.effective", { value: withUnit(effective, spec, t) })]
    .filter(Boolean)
    .join(" · ");
  return (
    <div className="parameter" data-dirty={dirty || undefined}>
      <TextField
        label={label}
        inputMode="decimal"
        autoComplete="off"
        disabled={disabled}
        hint={hint}
        error={problem}
        testId={`parameter-${name}`}
        {...form.register(name, {
          validate: (typed) => {
            const found = problemOf(typed, spec);
            return found === null || t(`problem.${found}`, { low: grouped(spec?.minimum ?? 0), high: grouped(spec?.maximum ?? 0) });
          },
        })}
      />
      {spec && (
        <input
          type="range"
          className="range"
          min={spec.minimum}
          max={spec.maximum}
          step={spec.step}
          value={value ?? spec.minimum}
          disabled={disabled}
          aria-label={`${label}, ${t("parameters.slider")}`}
          onChange={(event) => form.setValue(name, event.target.value, { shouldDirty: true, shouldValidate: true })}
          data-testid={`parameter-slider-${name}`}
        />
      )}
    </div>
  );
}

/** Pending until the engine itself answered; then what is in effect, in the engine's own numbers. */
function Outcome({ requestId, answer, error, pending, schema }: { requestId: string | null; answer: UpdateResult | null; error: unknown; pending: boolean; schema: Readonly<Record<string, ParameterSpec>> }) {
  const t = useT();
  const heard = useTopic("parameters").items.get(requestId ?? "");
  if (requestId === null) return null;
  const result = heard && heard.status !== "pending" ? heard : (answer ?? heard ?? null);
  if (pending && (result === null || result.status === "pending")) {
    return (
      <div className="outcome" role="status" data-testid="strategy-result" data-status="pending">
        <Status look={{ shape: "diamond", tone: "warn", word: t("update.pending") }} />
        <span className="soft">{t("apply.waiting")}</span>
      </div>
    );
  }
  if (result === null || (error !== null && !(error instanceof Unreachable) && result.status === "pending")) {
    return (
      <Notice tone="crit" shape="cross" role="alert" testId="strategy-result-error">
        {error instanceof ApiError && error.status === 412 ? t("apply.conflict") : error instanceof Unreachable ? t("apply.unknown") : errorText(error, t)}
      </Notice>
    );
  }
  const effective = inOrder(Object.keys(result.parameters)).map((key) => `${labelOf(key, schema[key], t)} ${withUnit(result.parameters[key] ?? 0, schema[key], t)}`);
  return (
    <div className="outcome" role="status" data-testid="strategy-result" data-status={result.status}>
      <Status look={outcomeLook(result.status, t)} />
      <span>
        {result.error && (
          <b>
            {result.reason || codeText(result.error, t) || t("error.unknown")} <code>{result.error}</code>{" "}
          </b>
        )}
        <span className="soft">{t("apply.effective", { version: result.version, values: effective.join(", ") })}</span>
      </span>
    </div>
  );
}

export function outcomeLook(status: UpdateResult["status"], t: ReturnType<typeof useT>): Look {
  const word = t(`update.${status}`);
  if (status === "applied") return { shape: "check", tone: "ok", word };
  if (status === "pending") return { shape: "diamond", tone: "warn", word };
  if (status === "applied_late") return { shape: "triangle", tone: "warn", word };
  return { shape: "cross", tone: "crit", word };
}
