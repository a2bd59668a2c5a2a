"""The emergency page: one static document that stops everything, for when nothing else answers."""

import base64
import hashlib

_SCRIPT = """
const form = document.querySelector('form'), out = document.querySelector('output'), code = form.code;
form.addEventListener('submit', async event => {
  event.preventDefault();
  out.textContent = '정지하는 중… / stopping…';
  const headers = {'Content-Type': 'application/json', 'X-Emergency-Code': code.value};
  try {
    const body = JSON.stringify({reason: form.reason.value});
    const answer = await fetch('/stop', {method: 'POST', headers, body});
    const said = await answer.json();
    out.textContent = said.words || said.reason || answer.status;
  } catch (error) {
    out.textContent = '응답 없음: watchkeeper stop --local / no answer: use watchkeeper stop --local';
  }
});
"""
_STYLE = """
body{background:#111;color:#eee;font:18px/1.5 system-ui,sans-serif;max-width:36rem;margin:3rem auto;padding:0 1rem}
button{background:#c00;color:#fff;border:0;font-size:2rem;padding:1.5rem;width:100%;margin:1rem 0;cursor:pointer}
input{width:100%;font-size:1rem;padding:.6rem;margin:.3rem 0 1rem;background:#222;color:#eee;border:1px solid #555;
box-sizing:border-box}
output{display:block;font-size:1.2rem;white-space:pre-wrap}
button:focus-visible,input:focus-visible{outline:3px solid #fc0}
"""


def _csp_hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


PAGE = f"""<!doctype html><html lang="ko"><meta charset="utf-8"><title>긴급 정지 · Emergency stop</title>
<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>
<h1>긴급 정지 · Emergency stop</h1>
<p>모든 엔진을 멈추고 주문을 취소하며 포지션을 청산합니다.<br>
Stops every engine, cancels orders and closes positions.</p>
<form><label>비상 코드 · emergency code <small>(emergency.code)</small>
<input name="code" type="password" autocomplete="off" required></label>
<label>이유 · reason <input name="reason" maxlength="500"></label>
<button>모두 정지 · STOP EVERYTHING</button></form><output aria-live="assertive"></output>
<script>{_SCRIPT}</script></html>
"""
HEADERS = {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": (
        f"default-src 'none'; script-src {_csp_hash(_SCRIPT)}; style-src {_csp_hash(_STYLE)}; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
