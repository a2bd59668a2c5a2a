import { call, type Answer } from "../../link/rest";
import { UserSettings } from "../../wire/rest";

export const SETTINGS_KEY = ["settings"] as const;

export function readSettings(): Promise<Answer<UserSettings>> {
  return call({ path: "/api/settings/user", answer: UserSettings });
}
