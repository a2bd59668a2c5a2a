/** The bodies of the REST face that are not also topic items (wire/rest.py). */
import * as v from "valibot";
import { count, finite, integer, orNull, parameters, ROLES, text, time } from "./common";
import * as wire from "./enums";
import { ParameterSpec, TradeLog, UPDATE_STATES } from "./items";

export const ErrorBody = v.object({ error: text, reason: v.optional(text, ""), field: orNull(text) });

export const User = v.object({ id: text, username: text, role: v.picklist(ROLES) });
export type User = v.InferOutput<typeof User>;

export const TokenAnswer = v.object({ access_token: v.pipe(text, v.minLength(1)), expires_in: finite, user: orNull(User) });
export type TokenAnswer = v.InferOutput<typeof TokenAnswer>;

export const SecretState = v.object({ set: v.boolean(), fingerprint: orNull(text), updated_at: orNull(time) });
export type SecretState = v.InferOutput<typeof SecretState>;

export const BROKERAGES = ["kis", "kiwoom", "samsung"] as const satisfies readonly wire.BrokerageType[];
export type Brokerage = wire.BrokerageType;

export const BrokerageAccount = v.object({
  id: text,
  name: text,
  type: v.picklist(BROKERAGES),
  api_key: SecretState,
  api_secret: SecretState,
  account_number: text,
  is_active: v.boolean(),
  last_validated: orNull(time),
});
export type BrokerageAccount = v.InferOutput<typeof BrokerageAccount>;

export const TIMEFRAMES = ["1m", "5m", "15m", "1h", "1d"] as const;

export const SystemPreferences = v.object({
  theme: v.optional(v.picklist(["dark", "light", "contrast"]), "dark"),
  notifications_enabled: v.optional(v.boolean(), true),
  auto_save_interval: v.optional(count, 30),
  default_chart_timeframe: v.optional(v.picklist(TIMEFRAMES), "1h"),
  language: v.optional(v.picklist(["ko", "en"]), "ko"),
  updown: v.optional(v.picklist(["kr", "us"]), "kr"),
});
export type SystemPreferences = v.InferOutput<typeof SystemPreferences>;

export const RiskLimits = v.object({
  max_daily_loss: integer,
  max_position_size: integer,
  max_concurrent_positions: integer,
  emergency_stop_loss: integer,
});
export type RiskLimits = v.InferOutput<typeof RiskLimits>;

export const UserSettings = v.object({
  id: text,
  user_id: text,
  brokerage_accounts: v.array(BrokerageAccount),
  system_preferences: SystemPreferences,
  risk_limits: RiskLimits,
  created_at: time,
  updated_at: time,
  config_version: count,
});
export type UserSettings = v.InferOutput<typeof UserSettings>;

export const ValidationResult = v.object({
  is_valid: v.boolean(),
  errors: v.array(text),
  warnings: v.array(text),
  checks: v.optional(v.array(v.object({ name: v.picklist(["format", "token", "account"]), ok: v.boolean(), reason: v.optional(text, ""), ms: finite })), []),
});
export type ValidationResult = v.InferOutput<typeof ValidationResult>;

export const StrategyParameters = v.object({
  engine_id: text,
  strategy_id: text,
  version: count,
  desired: parameters,
  effective: orNull(parameters),
  effective_version: orNull(count),
  parameter_schema: v.optional(v.record(text, ParameterSpec), {}),
  updated_at: orNull(time),
});
export type StrategyParameters = v.InferOutput<typeof StrategyParameters>;

export const ParameterVersion = v.object({
  version: count,
  parameters,
  status: v.picklist(UPDATE_STATES),
  user_id: text,
  username: orNull(text),
  at: time,
  request_id: text,
  error: orNull(text),
  reason: orNull(text),
});
export type ParameterVersion = v.InferOutput<typeof ParameterVersion>;

export const StrategyCommandResult = v.object({
  status: v.picklist(wire.CommandStatus),
  strategy_status: orNull(v.picklist(wire.StrategyState)),
  error: orNull(text),
  reason: orNull(text),
});

const RELEASE_STATES = wire.ReleaseState;

export const Release = v.object({
  id: text,
  stop_id: v.optional(text, ""),
  state: v.picklist(RELEASE_STATES),
  checklist: v.array(v.object({ name: text, ok: v.boolean(), detail: v.optional(text, "") })),
  requested_by: text,
  requested_by_name: orNull(text),
  requested_at: orNull(time),
  not_before: orNull(time),
  epoch: v.optional(count, 0),
  reason: v.optional(text, ""),
  waive: v.optional(v.array(v.object({ engine_id: text, reason: text })), []),
  resume: v.optional(v.boolean(), false),
  approved_by: orNull(text),
  approved_by_name: orNull(text),
  reduced: orNull(v.object({ minutes: count, max_order_value: count })),
  history: v.optional(v.array(v.object({ at: time, state: v.picklist(RELEASE_STATES), by: orNull(text), detail: orNull(text) })), []),
});
export type Release = v.InferOutput<typeof Release>;

const Exposure = v.object({ orders: orNull(count), positions: orNull(count), value: orNull(integer) });

/** What a stop would reach, before it is asked for. */
export const StopPreview = v.object({
  engines: v.array(
    v.object({
      ...Exposure.entries,
      engine_id: text,
      blocked: v.optional(v.array(v.object({ symbol: text, reason: text })), []),
      as_of: orNull(time),
      age_ms: orNull(finite),
      connection: v.picklist(wire.Connection),
    }),
  ),
  total: v.object({ ...Exposure.entries, unknown: v.optional(count, 0), oldest_ms: orNull(finite) }),
});
export type StopPreview = v.InferOutput<typeof StopPreview>;

export const listOf = <S extends v.GenericSchema>(item: S) => v.object({ items: v.array(item), next: orNull(v.union([text, finite])) });
/** A message that could not be delivered. Its content is not told. */
export const DeadLetter = v.object({ id: text, engine_id: text, kind: text, reason: text, state: v.picklist(["open", "retried", "discarded"]), at: time });
export type DeadLetter = v.InferOutput<typeof DeadLetter>;
export const LogPage = listOf(TradeLog);
