import { useFormContext } from "react-hook-form";
import { won } from "../../i18n/format";
import { TextField } from "../../kit/Field";
import { Panel } from "../../kit/Panel";
import { useLook, useT } from "../../store/preferences";
import { numberOf } from "../parameters/change";
import { LIMITS, type SettingsForm } from "./form";

export function Limits() {
  const t = useT();
  const { language } = useLook();
  const { register, watch, formState } = useFormContext<SettingsForm>();
  const limits = watch("limits");
  return (
    <Panel title={t("settings.limits")} testId="settings-limits">
      <div className="field-grid">
        {LIMITS.map((name) => {
          const value = numberOf(limits[name]);
          const money = name !== "max_concurrent_positions";
          return (
            <TextField
              key={name}
              label={t(`limit.${name}`)}
              inputMode="numeric"
              autoComplete="off"
              hint={value !== null && money ? won(value, language) : t("limit.count")}
              error={formState.errors.limits?.[name]?.message}
              testId={`limit-${name}`}
              {...register(`limits.${name}`, {
                validate: (text) => {
                  const typed = numberOf(text);
                  return (typed !== null && Number.isSafeInteger(typed) && typed >= 0) || t("problem.whole");
                },
              })}
            />
          );
        })}
      </div>
    </Panel>
  );
}
