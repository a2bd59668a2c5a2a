/**
 * The canonical interfaces of what an engine reports, and one fixture of each. The platform's own classes are checked
 * against these (property 1), and these against the parsers of the link.
 */
export type ProcessStatus = "running" | "degraded" | "stopping" | "error";
export type LogCategory = "System" | "Strategy" | "Trade";
export type StrategyState = "active" | "paused" | "error";

export interface SystemHealthMetrics {
  /** Percent of one core; more than 100 with several threads. */
  cpu_usage: number;
  /** Percent of the machine's memory. */
  memory_usage: number;
  process_status: ProcessStatus;
  engine_count: number;
  active_strategies: number;
  /** RFC 3339 with offset. */
  last_update: string;
}

export interface CategorizedTradeLog {
  id: string;
  /** RFC 3339 with offset. */
  timestamp: string;
  category: LogCategory;
  message: string;
  /** Why the engine traded: never empty when the category is Trade (property 3). */
  reason?: string | null;
}

export interface Strategy {
  id: string;
  name: string;
  /** Exactly one of the three (property 2). */
  status: StrategyState;
  /** camelCase keys, finite numbers. */
  parameters: Record<string, number>;
}

export const systemHealthData: SystemHealthMetrics = {
  cpu_usage: 12.4,
  memory_usage: 38.1,
  process_status: "running",
  engine_count: 3,
  active_strategies: 5,
  last_update: "2026-11-20T05:30:00.000+00:00",
};

export const categorizedTradeLogs: CategorizedTradeLog[] = [
  { id: "log-1", timestamp: "2026-11-20T05:29:58.120+00:00", category: "System", message: "시세 연결을 다시 맺었습니다" },
  { id: "log-2", timestamp: "2026-11-20T05:29:59.004+00:00", category: "Strategy", message: "005930 신호: 20일선 돌파", reason: null },
  { id: "log-3", timestamp: "2026-11-20T05:29:59.310+00:00", category: "Trade", message: "005930 10주 매수 71,800원", reason: "20일선 돌파, 거래량 평균의 2.1배" },
];

export const strategies: Strategy[] = [
  { id: "momentum", name: "모멘텀", status: "active", parameters: { takeProfitPercent: 4, stopLossPercent: 2, maxPositionSize: 10_000_000, riskPerTrade: 0.5 } },
  { id: "pairs", name: "페어 트레이딩", status: "paused", parameters: { takeProfitPercent: 1.5, stopLossPercent: 1, maxPositionSize: 20_000_000, riskPerTrade: 0.3 } },
];
