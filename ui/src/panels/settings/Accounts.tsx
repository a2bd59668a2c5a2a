import { useMutation } from "@tanstack/react-query";
import { useFieldArray, useFormContext } from "react-hook-form";
import { dateTime, grouped } from "../../i18n/format";
import { Button } from "../../kit/Button";
import { CheckField, SelectField, TextField } from "../../kit/Field";
import { Icon } from "../../kit/icons";
import { Empty, Panel } from "../../kit/Panel";
import { Notice } from "../../kit/Status";
import { newId } from "../../link/ids";
import { call } from "../../link/rest";
import { useT } from "../../store/preferences";
import { BROKERAGES, ValidationResult, type BrokerageAccount, type SecretState } from "../../wire/rest";
import { errorText } from "../words";
import { proofKey, provable, type Proof, type Proofs, type SettingsForm } from "./form";

/** Three real calls to a broker that limits its rate. */
const VALIDATION_MS = 30_000;

interface Props {
  stored: readonly BrokerageAccount[];
  proofs: Proofs;
  onProof: (accountId: string, proof: Proof) => void;
}

export function Accounts({ stored, proofs, onProof }: Props) {
  const t = useT();
  const { control } = useFormContext<SettingsForm>();
  const { fields, append, remove } = useFieldArray({ control, name: "accounts", keyName: "row" });
  const add = () => append({ id: `acc-${newId().slice(0, 8)}`, name: "", type: "kis", account_number: "", api_key: "", api_secret: "", is_active: true, profile: "real", stored: false });
  return (
    <Panel
      title={t("settings.accounts")}
      testId="settings-accounts"
      flush
      end={
        <Button small testId="account-add" onClick={add}>
          {t("account.add")}
        </Button>
      }
    >
      {fields.length === 0 && (
        <Empty title={t("account.none")} testId="accounts-empty">
          {t("account.none.next")}
        </Empty>
      )}
      {fields.map((field, index) => (
        <Account key={field.row} index={index} stored={stored.find((account) => account.id === field.id)} proof={proofs[field.id]} onProof={(proof) => onProof(field.id, proof)} onRemove={() => remove(index)} />
      ))}
    </Panel>
  );
}

function Account({ index, stored, proof, onProof, onRemove }: { index: number; stored: BrokerageAccount | undefined; proof: Proof | undefined; onProof: (proof: Proof) => void; onRemove: () => void }) {
  const t = useT();
  const { register, watch, formState } = useFormContext<SettingsForm>();
  const account = watch(`accounts.${index}`);
  const errors = formState.errors.accounts?.[index];
  const validate = useMutation({
    mutationFn: async () => {
      const { type, api_key, api_secret, account_number, profile } = account;
      const body = { brokerage_type: type, api_key, api_secret, account_number: account_number.trim(), profile };
      return { of: proofKey(account), result: (await call({ method: "POST", path: "/api/settings/validate", body, answer: ValidationResult, timeoutMs: VALIDATION_MS })).value };
    },
    onSuccess: onProof,
  });
  const current = proof?.of === proofKey(account) ? proof.result : null;
  const required = { required: t("problem.required") };
  const name = `accounts.${index}` as const;
  return (
    <fieldset className="account" data-testid={`account-${index}`}>
      <legend className="visually-hidden">{account.name || t("account.new")}</legend>
      <div className="account-grid">
        <TextField label={t("account.name")} testId={`account-name-${index}`} error={errors?.name?.message} {...register(`${name}.name`, required)} />
        <SelectField label={t("account.type")} testId={`account-type-${index}`} options={BROKERAGES.map((each) => [each, t(`brokerage.${each}`)] as const)} {...register(`${name}.type`)} />
        <TextField label={t("account.number")} autoComplete="off" testId={`account-number-${index}`} error={errors?.account_number?.message} {...register(`${name}.account_number`, required)} />
        <SelectField
          label={t("account.profile")}
          testId={`account-profile-${index}`}
          options={[
            ["real", t("account.profile.real")],
            ["mock", t("account.profile.mock")],
          ]}
          {...register(`${name}.profile`)}
        />
        <TextField
          label={t("account.key")}
          type="password"
          autoComplete="off"
          placeholder={stored?.api_key.set ? t("secret.keep") : ""}
          hint={<Secret state={stored?.api_key} />}
          testId={`account-key-${index}`}
          {...register(`${name}.api_key`)}
        />
        <TextField
          label={t("account.secret")}
          type="password"
          autoComplete="off"
          placeholder={stored?.api_secret.set ? t("secret.keep") : ""}
          hint={<Secret state={stored?.api_secret} />}
          testId={`account-secret-${index}`}
          {...register(`${name}.api_secret`)}
        />
      </div>
      <div className="account-foot">
        <CheckField label={t("account.active")} testId={`account-active-${index}`} {...register(`${name}.is_active`)} />
        {stored?.last_validated && <span className="small faint">{t("account.validated", { time: dateTime(stored.last_validated) })}</span>}
        <span className="grow" />
        <Button kind="quiet" small testId={`account-remove-${index}`} onClick={onRemove}>
          {t("account.remove")}
        </Button>
        <Button small testId={`account-validate-${index}`} busy={validate.isPending} disabled={!provable(account)} title={provable(account) ? undefined : t("account.validate.needs")} onClick={() => validate.mutate()}>
          {validate.isPending ? t("account.validating") : t("account.validate")}
        </Button>
      </div>
      {validate.error && (
        <Notice tone="crit" shape="cross" role="alert" testId={`account-validate-error-${index}`}>
          {errorText(validate.error, t)}
        </Notice>
      )}
      {current && <Checks result={current} index={index} />}
    </fieldset>
  );
}

/** A stored secret is never shown: only that there is one, since when, and its fingerprint. */
function Secret({ state }: { state: SecretState | undefined }) {
  const t = useT();
  if (!state?.set) return t("secret.none");
  return (
    <>
      {t("secret.stored")} · {dateTime(state.updated_at)} · <code>…{state.fingerprint?.slice(-8) ?? ""}</code>
    </>
  );
}

function Checks({ result, index }: { result: ValidationResult; index: number }) {
  const t = useT();
  return (
    <div className="checks" role="status" data-testid={`account-checks-${index}`} data-valid={result.is_valid}>
      <ol>
        {result.checks.map((check) => (
          <li key={check.name} className={check.ok ? "tone-ok" : "tone-crit"} data-testid={`account-check-${index}-${check.name}`}>
            <Icon shape={check.ok ? "check" : "cross"} size={12} />
            <b>{t(`check.${check.name}`)}</b>
            <span className="faint">{grouped(Math.round(check.ms))} ms</span>
            {check.reason && <span className="soft">{check.reason}</span>}
          </li>
        ))}
      </ol>
      {[...result.errors, ...result.warnings].map((line) => (
        <p key={line} className="small soft">
          {line}
        </p>
      ))}
    </div>
  );
}
