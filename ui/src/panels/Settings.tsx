import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { FormProvider, useForm } from "react-hook-form";
import { Button } from "../kit/Button";
import { Panel, Skeleton } from "../kit/Panel";
import { Notice } from "../kit/Status";
import { ApiError } from "../link/errors";
import { call } from "../link/rest";
import { useSession } from "../link/session";
import { setLook, useT } from "../store/preferences";
import { toast } from "../store/toasts";
import { may } from "../wire/common";
import { UserSettings } from "../wire/rest";
import { Accounts } from "./settings/Accounts";
import { bodyOf, formOf, loosened, unprovedAccounts, type Proofs, type SettingsForm } from "./settings/form";
import { Preferences } from "./settings/Preferences";
import { readSettings, SETTINGS_KEY } from "./settings/read";
import { Limits } from "./settings/Limits";
import { errorText } from "./words";

export function Settings() {
  const t = useT();
  const session = useSession();
  const allowed = "user" in session && may(session.user.role, "operator");
  const [saves, setSaves] = useState(0);
  const settings = useQuery({ queryKey: SETTINGS_KEY, queryFn: readSettings, enabled: allowed });
  return (
    <div className="stack settings">
      <div className="page-head">
        <h1>{t("nav.settings")}</h1>
      </div>
      {!allowed ? (
        <Notice tone="idle" testId="settings-forbidden">
          {t("settings.needs_operator")}
        </Notice>
      ) : settings.error && !settings.data ? (
        <Notice tone="crit" shape="cross" role="alert" testId="settings-error">
          {errorText(settings.error, t)}{" "}
          <button type="button" className="link" onClick={() => void settings.refetch()} data-testid="settings-retry">
            {t("retry")}
          </button>
        </Notice>
      ) : settings.data ? (
        // A save makes the editor anew: nothing that was typed, least of all a secret, outlives it.
        <SettingsEditor key={saves} stored={settings.data.value} etag={settings.data.etag} onSaved={() => setSaves((n) => n + 1)} />
      ) : (
        <Panel title={t("settings.accounts")} testId="settings-loading" flush>
          <Skeleton rows={5} />
        </Panel>
      )}
    </div>
  );
}

function SettingsEditor({ stored, etag, onSaved }: { stored: UserSettings; etag: string | null; onSaved: () => void }) {
  const t = useT();
  const queries = useQueryClient();
  const session = useSession();
  const form = useForm<SettingsForm>({ values: formOf(stored), resetOptions: { keepDirtyValues: true }, mode: "onChange" });
  const [proofs, setProofs] = useState<Proofs>({});
  const values = form.watch();
  const unproved = unprovedAccounts(values.accounts, proofs);
  const looser = loosened(stored.risk_limits, values.limits);
  const risk = "user" in session && may(session.user.role, "risk");

  const save = useMutation({
    mutationFn: (body: object) => call({ method: "POST", path: "/api/settings/user", headers: { "if-match": etag ?? `"${stored.config_version}"` }, body, answer: UserSettings }),
    onSuccess: (answer) => {
      const { language, updown, theme } = answer.value.system_preferences;
      setLook({ language, updown, theme });
      queries.setQueryData(SETTINGS_KEY, answer);
      onSaved();
      toast("ok", t("settings.saved"));
    },
    onError: (error) => {
      if (error instanceof ApiError && error.status === 412) void queries.invalidateQueries({ queryKey: SETTINGS_KEY });
    },
  });
  const submit = form.handleSubmit((good) => save.mutate(bodyOf(good)));
  useAutoSave(form.formState.isDirty && onlyPreferences(form.formState.dirtyFields) && !save.isPending, values.preferences.auto_save_interval, () => save.mutate(bodyOf(form.getValues())));

  return (
    <FormProvider {...form}>
      <form className="stack" onSubmit={submit} noValidate data-testid="settings-form">
        <Accounts stored={stored.brokerage_accounts} proofs={proofs} onProof={(id, proof) => setProofs((before) => ({ ...before, [id]: proof }))} />
        <Limits />
        <Preferences />
        <div className="save-bar">
          <div>
            {save.error && (
              <Notice tone="crit" shape="cross" role="alert" testId="settings-save-error">
                {save.error instanceof ApiError && save.error.status === 412 ? t("settings.conflict") : errorText(save.error, t)}
                {save.error instanceof ApiError && save.error.field && <code> {save.error.field}</code>}
              </Notice>
            )}
            {unproved.length > 0 && (
              <Notice tone="warn" testId="settings-unproved">
                {t("settings.validate_first", { names: unproved.join(", ") })}
              </Notice>
            )}
            {looser.length > 0 && !risk && (
              <Notice tone="warn" testId="settings-loosens">
                {t("settings.loosens", { names: looser.map((name) => t(`limit.${name}`)).join(", ") })}
              </Notice>
            )}
          </div>
          <span className="small faint" data-testid="settings-version">
            {t("settings.version", { version: stored.config_version })}
          </span>
          <Button
            testId="settings-revert"
            disabled={!form.formState.isDirty}
            onClick={() => {
              form.reset(formOf(stored));
              setProofs({});
            }}
          >
            {t("parameters.revert")}
          </Button>
          <Button kind="primary" type="submit" testId="settings-save" busy={save.isPending} disabled={!form.formState.isDirty || unproved.length > 0}>
            {save.isPending ? t("settings.saving") : t("settings.save")}
          </Button>
        </div>
      </form>
    </FormProvider>
  );
}

/** Broker keys and limits are saved by a person's hand alone; only how things look saves itself. */
function onlyPreferences(dirty: Readonly<Partial<Record<keyof SettingsForm, unknown>>>): boolean {
  return Object.keys(dirty).every((part) => part === "preferences");
}

function useAutoSave(due: boolean, seconds: number, save: () => void): void {
  useEffect(() => {
    if (!due || !Number.isFinite(seconds) || seconds < 5) return;
    const timer = setTimeout(save, seconds * 1000);
    return () => clearTimeout(timer);
  }, [due, seconds]);
}
