/** Made from the platform's message classes by `make docs`; do not edit. Times: RFC 3339, money: won. */

export const AlertState = ["open", "acknowledged", "resolved"] as const;
export type AlertState = (typeof AlertState)[number];

export const BrokerToken = ["ok", "expiring", "invalid", "none"] as const;
export type BrokerToken = (typeof BrokerToken)[number];

export const BrokerageType = ["kiwoom", "kis", "samsung"] as const;
export type BrokerageType = (typeof BrokerageType)[number];

/** EXPIRED: the engine did not answer in time; what the strategy is then is in its own status. */
export const CommandStatus = ["applied", "failed", "expired"] as const;
export type CommandStatus = (typeof CommandStatus)[number];

export const Connection = ["connected", "suspect", "offline", "never"] as const;
export type Connection = (typeof Connection)[number];

export const EngineState = ["starting", "running", "stopping", "stopped", "error"] as const;
export type EngineState = (typeof EngineState)[number];

export const ErrorCategory = ["broker", "strategy", "risk", "data", "system", "link"] as const;
export type ErrorCategory = (typeof ErrorCategory)[number];

/** From the broker's own view. A failed, missing or unsynced read is UNKNOWN, never FLAT. */
export const Flatness = ["FLAT", "NOT_FLAT", "UNKNOWN"] as const;
export type Flatness = (typeof Flatness)[number];

export const GapCause = ["conflated", "released", "expired", "lost"] as const;
export type GapCause = (typeof GapCause)[number];

/** How much a stop takes away, in rising order. NORMAL nothing · REDUCE_ONLY only orders that reduce a position · HALT send nothing · CANCEL and cancel working orders · FLATTEN and close positions by reduce-only orders. */
export const Level = ["NORMAL", "REDUCE_ONLY", "HALT", "CANCEL", "FLATTEN"] as const;
export type Level = (typeof Level)[number];

export const LogCategory = ["System", "Strategy", "Trade"] as const;
export type LogCategory = (typeof LogCategory)[number];

/** Which direction of change takes more risk, so that it needs the risk role. */
export const Loosens = ["up", "down", "never"] as const;
export type Loosens = (typeof Loosens)[number];

/** UNKNOWN: the broker's answer was lost and reconciliation has not yet told. */
export const OrderStatus = ["pending", "accepted", "partially_filled", "filled", "cancelled", "rejected", "expired", "unknown"] as const;
export type OrderStatus = (typeof OrderStatus)[number];

export const ProcessStatus = ["running", "degraded", "stopping", "error"] as const;
export type ProcessStatus = (typeof ProcessStatus)[number];

export const ReleaseState = ["requested", "approved", "released", "void"] as const;
export type ReleaseState = (typeof ReleaseState)[number];

/** viewer < operator < risk < admin; each may do what those before it may. */
export const Role = ["viewer", "operator", "risk", "admin"] as const;
export type Role = (typeof Role)[number];

export const Severity = ["info", "warning", "error", "critical"] as const;
export type Severity = (typeof Severity)[number];

export const Side = ["buy", "sell"] as const;
export type Side = (typeof Side)[number];

/** Where an engine stands with a stop. "sent", "received", "frozen" and "verified" never stand for each other. */
export const StopPhase = ["pending", "sent", "received", "frozen", "cancelled", "flattened", "verified", "failed", "timed_out", "unreachable", "superseded", "released"] as const;
export type StopPhase = (typeof StopPhase)[number];

export const StopState = ["running", "verified", "failed", "timed_out", "partial", "empty"] as const;
export type StopState = (typeof StopState)[number];

/** Pause: no order of the strategy leaves any more. Resume: it may trade again, as far as stops and lease allow. */
export const StrategyAction = ["pause", "resume"] as const;
export type StrategyAction = (typeof StrategyAction)[number];

/** Exactly these three (property 2). Whether a stop holds the strategy is said by `TradingState`. */
export const StrategyState = ["active", "paused", "error"] as const;
export type StrategyState = (typeof StrategyState)[number];

/** What a dashboard may follow, and the items it then gets. */
export const Topic = ["engines", "strategies", "health", "stops", "alerts", "errors", "parameters", "trades", "orders", "fills", "accounts", "positions", "tree", "system"] as const;
export type Topic = (typeof Topic)[number];

export const TradingMode = ["paper", "live"] as const;
export type TradingMode = (typeof TradingMode)[number];

export const TradingState = ["NORMAL", "REDUCE_ONLY", "HALTED"] as const;
export type TradingState = (typeof TradingState)[number];

export const UpdateStatus = ["pending", "applied", "failed", "expired", "applied_late"] as const;
export type UpdateStatus = (typeof UpdateStatus)[number];
