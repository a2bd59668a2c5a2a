import "../styles/tokens.css";
import "../styles/base.css";
import "../styles/kit.css";
import "../styles/shell.css";
import "../styles/panels.css";
import { MutationCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { createRoot } from "react-dom/client";
import { ApiError } from "../link/errors";
import { App } from "./App";

/**
 * networkMode "always" everywhere: by default a mutation made while offline would be parked and fired at reconnect,
 * long after anyone meant it. Here it fails at once and says so.
 */
const queries = new QueryClient({
  mutationCache: new MutationCache(),
  defaultOptions: {
    queries: { networkMode: "always", refetchOnWindowFocus: false, staleTime: 10_000, retry: (count, error) => !(error instanceof ApiError) && count < 2 },
    mutations: { networkMode: "always", retry: false },
  },
});

const root = document.getElementById("root");
if (!root) throw new Error("no #root in the page");
createRoot(root).render(
  <QueryClientProvider client={queries}>
    <App />
  </QueryClientProvider>,
);
