/** The settings as the form holds them, and as they are sent: pure. */
import type { Brokerage, RiskLimits, SystemPreferences, UserSettings, ValidationResult } from "../../wire/rest";
import { numberOf } from "../parameters/change";

export interface AccountForm {
  id: string;
  name: string;
  type: Brokerage;
  account_number: string;
  /** What was typed anew; empty keeps the stored secret, which the browser never sees. */
  api_key: string;
  api_secret: string;
  is_active: boolean;
  profile: "real" | "mock";
  stored: boolean;
}

export type LimitName = keyof RiskLimits;
export const LIMITS: readonly LimitName[] = ["max_daily_loss", "max_position_size", "max_concurrent_positions", "emergency_stop_loss"];

export interface SettingsForm {
  accounts: AccountForm[];
  limits: Record<LimitName, string>;
  preferences: SystemPreferences;
}

/** The last validation of an account, and for exactly which values it was. */
export interface Proof {
  readonly of: string;
  readonly result: ValidationResult;
}
export type Proofs = Readonly<Record<string, Proof>>;

export function formOf(settings: UserSettings): SettingsForm {
  return {
    accounts: settings.brokerage_accounts.map((account) => ({
      id: account.id,
      name: account.name,
      type: account.type,
      account_number: account.account_number,
      api_key: "",
      api_secret: "",
      is_active: account.is_active,
      profile: "real",
      stored: true,
    })),
    limits: Object.fromEntries(LIMITS.map((name) => [name, String(settings.risk_limits[name])])) as Record<LimitName, string>,
    preferences: { ...settings.system_preferences },
  };
}

export function bodyOf(form: SettingsForm): object {
  return {
    brokerage_accounts: form.accounts.map(({ id, name, type, account_number, is_active, api_key, api_secret }) => ({
      id,
      name: name.trim(),
      type,
      account_number: account_number.trim(),
      is_active,
      api_key: api_key === "" ? { set: true } : api_key,
      api_secret: api_secret === "" ? { set: true } : api_secret,
    })),
    system_preferences: form.preferences,
    risk_limits: Object.fromEntries(LIMITS.map((name) => [name, numberOf(form.limits[name]) ?? 0])),
  };
}

export function hasNewSecret(account: AccountForm): boolean {
  return account.api_key !== "" || account.api_secret !== "";
}

export function provable(account: AccountForm): boolean {
  return account.api_key !== "" && account.api_secret !== "" && account.account_number.trim() !== "";
}

export function proofKey(account: AccountForm): string {
  return JSON.stringify([account.type, account.api_key, account.api_secret, account.account_number.trim()]);
}

/** The accounts whose new keys no broker has accepted yet: they hold the saving back. */
export function unprovedAccounts(accounts: readonly AccountForm[], proofs: Proofs): string[] {
  return accounts
    .filter((account) => hasNewSecret(account) || !account.stored)
    .filter((account) => !(proofs[account.id]?.result.is_valid && proofs[account.id]?.of === proofKey(account)))
    .map((account) => account.name || account.id);
}

/** A higher limit takes more risk. */
export function loosened(stored: RiskLimits, typed: Readonly<Record<LimitName, string>>): LimitName[] {
  return LIMITS.filter((name) => (numberOf(typed[name]) ?? 0) > stored[name]);
}
