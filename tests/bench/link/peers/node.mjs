// Node with `ws`: every message is validated by hand, serialised once and sent to each dashboard.
import http from 'node:http'
import { randomUUID } from 'node:crypto'
import { createRequire } from 'node:module'

const [folder, port] = process.argv.slice(2)
const { WebSocketServer } = createRequire(folder + '/')('ws')
const engines = new Map()
const dashboards = new Set()
let waiting = new Set()
let finish = () => {}

const ID = /^[\x21-\x7e]{1,64}$/
const text = (value) => typeof value === 'string' && value.length <= 2000
const optional = (value, check) => value === undefined || check(value)
const id = (value) => typeof value === 'string' && ID.test(value)
const count = (value) => Number.isSafeInteger(value) && value >= 0
const percent = (value) => typeof value === 'number' && value >= 0
const checks = {
  trade_log: (p) =>
    id(p.id) && ['System', 'Strategy', 'Trade'].includes(p.category) && text(p.message) && !isNaN(Date.parse(p.timestamp)) &&
    optional(p.reason, text) && optional(p.strategy_id, id) && optional(p.order_id, id) &&
    optional(p.symbol, (s) => /^[A-Z0-9]{1,12}$/.test(s)) && optional(p.severity, text),
  health_update: (p) =>
    percent(p.cpu_usage) && percent(p.memory_usage) && text(p.process_status) && count(p.engine_count) &&
    count(p.active_strategies) && !isNaN(Date.parse(p.last_update)),
  stop_progress: (p) => id(p.stop_id) && text(p.phase),
}

function heard(socket, data) {
  const message = JSON.parse(data)
  if (!id(message.engine_id) || !count(message.seq) || !checks[message.type]?.(message.payload)) return socket.close(1008)
  if (message.type === 'stop_progress') {
    waiting.delete(message.engine_id)
    if (!waiting.size) finish()
    return
  }
  socket.send(JSON.stringify({ type: 'ack', engine_id: message.engine_id, payload: { seq: message.seq } }))
  const out = JSON.stringify(message)
  for (const dashboard of dashboards) if (dashboard.bufferedAmount < 2 ** 23) dashboard.send(out)
}

const server = http.createServer((request, response) => {
  const stop = JSON.stringify({ type: 'emergency_stop', payload: { stop_id: randomUUID(), level: 'FLATTEN' } })
  waiting = new Set(engines.keys())
  finish = () => response.end('{}')
  for (const socket of engines.values()) socket.send(stop)
})
const sockets = new WebSocketServer({ server, perMessageDeflate: false, maxPayload: 2 ** 18 })
sockets.on('connection', (socket, request) => {
  if (!request.url.startsWith('/ws/engine/')) {
    dashboards.add(socket)
    socket.on('close', () => dashboards.delete(socket))
    return
  }
  const name = request.url.slice('/ws/engine/'.length)
  engines.set(name, socket)
  socket.on('message', (data) => heard(socket, data))
  socket.on('close', () => engines.delete(name))
})
server.listen(Number(port), '127.0.0.1')
