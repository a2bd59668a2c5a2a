import { useId } from "react";
import { useFormContext } from "react-hook-form";
import { Button } from "../../kit/Button";
import { CheckField, SelectField, TextField } from "../../kit/Field";
import { Panel } from "../../kit/Panel";
import { setLook, THEMES, useT } from "../../store/preferences";
import { askToNotify } from "../../app/notify";
import { playStop, setVolume, useVolume, VOLUMES } from "../../app/sound";
import { TIMEFRAMES } from "../../wire/rest";
import type { SettingsForm } from "./form";

/** Looks change at once, so that one sees what one chooses; the account keeps them when they are saved. */
export function Preferences() {
  const t = useT();
  const { register, formState } = useFormContext<SettingsForm>();
  return (
    <Panel title={t("settings.preferences")} testId="settings-preferences">
      <div className="field-grid">
        <SelectField
          label={t("preference.language")}
          testId="preference-language"
          options={[
            ["ko", "한국어"],
            ["en", "English"],
          ]}
          {...register("preferences.language", { onChange: (event: { target: { value: string } }) => setLook({ language: event.target.value === "en" ? "en" : "ko" }) })}
        />
        <SelectField
          label={t("preference.theme")}
          testId="preference-theme"
          options={THEMES.map((theme) => [theme, t(`theme.${theme}`)] as const)}
          {...register("preferences.theme", { onChange: (event: { target: { value: string } }) => setLook({ theme: THEMES.find((theme) => theme === event.target.value) ?? "dark" }) })}
        />
        <SelectField
          label={t("preference.updown")}
          testId="preference-updown"
          options={[
            ["kr", t("updown.kr")],
            ["us", t("updown.us")],
          ]}
          {...register("preferences.updown", { onChange: (event: { target: { value: string } }) => setLook({ updown: event.target.value === "us" ? "us" : "kr" }) })}
        />
        <SelectField label={t("preference.timeframe")} testId="preference-timeframe" options={TIMEFRAMES.map((each) => [each, t(`timeframe.${each}`)] as const)} {...register("preferences.default_chart_timeframe")} />
        <TextField
          label={t("preference.auto_save")}
          type="number"
          min={5}
          max={3600}
          hint={t("preference.auto_save.hint")}
          error={formState.errors.preferences?.auto_save_interval?.message}
          testId="preference-auto-save"
          {...register("preferences.auto_save_interval", { valueAsNumber: true, validate: (value) => (Number.isInteger(value) && value >= 5 && value <= 3600) || t("problem.auto_save") })}
        />
        <div className="field">
          <span className="field-label">{t("preference.notifications")}</span>
          <CheckField label={t("preference.notifications.on")} testId="preference-notifications" {...register("preferences.notifications_enabled", { onChange: (event: { target: { checked: boolean } }) => event.target.checked && askToNotify() })} />
        </div>
        <Volume />
      </div>
    </Panel>
  );
}

/** Of this browser alone, and at once: how loud it is depends on the desk it stands on. */
function Volume() {
  const t = useT();
  const id = useId();
  const volume = useVolume();
  return (
    <div className="field">
      <label htmlFor={id}>{t("preference.volume")}</label>
      <div className="volume">
        <input id={id} type="range" className="range" min={VOLUMES.least} max={VOLUMES.most} step={10} value={volume} aria-valuetext={`${volume}%`} data-testid="preference-volume" onChange={(event) => setVolume(event.target.valueAsNumber)} />
        <Button small testId="preference-volume-test" onClick={playStop}>
          {t("preference.volume.test")}
        </Button>
      </div>
    </div>
  );
}
