/** The items of the UI topics and the bodies that share their shape, as wire/rest.py and wire/messages.py define them. */
import * as v from "valibot";
import { count, finite, integer, level, orNull, parameters, text, time } from "./common";
import * as wire from "./enums";

export const ParameterSpec = v.object({
  type: v.picklist(["integer", "number"]),
  minimum: finite,
  maximum: finite,
  step: v.pipe(finite, v.gtValue(0)),
  unit: v.optional(text, ""),
  title: v.optional(text, ""),
  loosens: v.optional(v.picklist(wire.Loosens), "never"),
});
export type ParameterSpec = v.InferOutput<typeof ParameterSpec>;

export const Strategy = v.object({
  engine_id: text,
  id: text,
  name: text,
  status: v.picklist(wire.StrategyState),
  trading_state: v.optional(v.picklist(wire.TradingState), "NORMAL"),
  parameters: parameters,
  parameter_schema: v.optional(v.record(text, ParameterSpec), {}),
  version: v.optional(count, 0),
});
export type Strategy = v.InferOutput<typeof Strategy>;

export const OpenStop = v.object({ stop_id: text, scope: text, level, stop_epoch: count });

export const EngineStatus = v.object({
  engine_id: text,
  name: text,
  status: orNull(v.picklist(wire.EngineState)),
  connection: v.picklist(wire.Connection),
  trading_mode: orNull(v.picklist(wire.TradingMode)),
  level,
  stops: v.array(OpenStop),
  halted_by_lease: v.optional(v.boolean(), false),
  lease_expires_at: orNull(time),
  last_heartbeat: orNull(time),
  age_ms: orNull(finite),
  version: orNull(text),
  account_id: orNull(text),
  strategies: v.array(Strategy),
  positions: orNull(count),
  open_orders: orNull(count),
  synced: orNull(v.boolean()),
  equity: orNull(integer),
  realized_pnl: orNull(integer),
});
export type EngineStatus = v.InferOutput<typeof EngineStatus>;

export const PROCESS_STATES = wire.ProcessStatus;

export const EngineHealth = v.object({
  engine_id: text,
  connection: v.optional(v.picklist(wire.Connection), "never"),
  cpu_usage: orNull(finite),
  memory_usage: orNull(finite),
  process_status: orNull(v.picklist(PROCESS_STATES)),
  clocks: v.object({
    process_age_ms: orNull(finite),
    market_data_age_ms: orNull(finite),
    order_channel_age_ms: orNull(finite),
    broker_token: v.optional(v.picklist(wire.BrokerToken), "none"),
  }),
  lease_ms_left: orNull(finite),
  skew_ms: orNull(integer),
  instance: orNull(text),
  version: orNull(text),
  last_update: orNull(time),
});
export type EngineHealth = v.InferOutput<typeof EngineHealth>;

export const SystemHealth = v.object({
  cpu_usage: finite,
  memory_usage: finite,
  process_status: v.picklist(PROCESS_STATES),
  engine_count: count,
  active_strategies: count,
  last_update: time,
  engines_connected: v.optional(count, 0),
  engines_offline: v.optional(count, 0),
  loop_lag_ms: v.optional(finite, 0),
  database: v.optional(v.picklist(["up", "down"]), "up"),
  degraded: v.optional(v.array(text), []),
  drill: orNull(v.object({ last_at: orNull(time), stop_id: orNull(text), due_at: orNull(time), overdue: orNull(v.boolean()) })),
  emergency: orNull(text),
});
export type SystemHealth = v.InferOutput<typeof SystemHealth>;

export const STOP_PHASES = wire.StopPhase;
export type StopPhase = wire.StopPhase;

export const Residual = v.object({ symbol: text, quantity: integer, reason: text, until: orNull(time) });

export const StopResult = v.object({
  engine_id: text,
  success: v.boolean(),
  phase: v.picklist(STOP_PHASES),
  positions_liquidated: count,
  orders_cancelled: count,
  orders_remaining: orNull(count),
  positions_remaining: orNull(count),
  flatness: v.optional(v.picklist(wire.Flatness), "UNKNOWN"),
  flatness_as_of: orNull(time),
  flatness_reason: orNull(text),
  residuals: v.optional(v.array(Residual), []),
  ms_to_frozen: orNull(finite),
  completed_at: orNull(time),
  error: orNull(text),
});
export type StopResult = v.InferOutput<typeof StopResult>;

export const Stop = v.object({
  stop_id: text,
  request_id: text,
  epoch: count,
  scope: text,
  level,
  user_id: text,
  username: orNull(text),
  reason: v.optional(text, ""),
  requested_at: time,
  delivered: count,
  engines: count,
  durable: v.boolean(),
  state: v.picklist(wire.StopState),
  results: v.array(StopResult),
  drill: v.optional(v.boolean(), false),
  cause: v.optional(text, "operator"),
  released_at: orNull(time),
  timeline: v.optional(v.array(v.object({ at: time, event: text, engine_id: orNull(text), detail: orNull(text) })), []),
});
export type Stop = v.InferOutput<typeof Stop>;

/** A Trade must say why (property 3). */
export const TradeLog = v.pipe(
  v.object({
    engine_id: v.pipe(text, v.minLength(1)),
    id: v.pipe(text, v.minLength(1)),
    category: v.picklist(wire.LogCategory),
    message: text,
    timestamp: time,
    reason: orNull(text),
    strategy_id: orNull(text),
    symbol: orNull(text),
    order_id: orNull(text),
    severity: orNull(v.picklist(wire.Severity)),
    quarantined: v.optional(v.boolean(), false),
  }),
  v.forward(
    v.check((log) => log.category !== "Trade" || (log.reason ?? "").trim() !== "", "a Trade needs a reason"),
    ["reason"],
  ),
);
export type TradeLog = v.InferOutput<typeof TradeLog>;

export const Alert = v.object({
  id: text,
  code: text,
  severity: v.picklist(wire.Severity),
  reason: text,
  engine_id: orNull(text),
  stop_id: orNull(text),
  state: v.picklist(wire.AlertState),
  raised_at: time,
  acknowledged_by: orNull(text),
  acknowledged_at: orNull(time),
  acknowledged_by_name: orNull(text),
});
export type Alert = v.InferOutput<typeof Alert>;

export const UPDATE_STATES = wire.UpdateStatus;

export const UpdateResult = v.object({
  request_id: text,
  engine_id: text,
  strategy_id: text,
  status: v.picklist(UPDATE_STATES),
  parameters,
  version: count,
  applied_at: orNull(time),
  error: orNull(text),
  reason: orNull(text),
});
export type UpdateResult = v.InferOutput<typeof UpdateResult>;
