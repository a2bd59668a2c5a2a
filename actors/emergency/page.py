"""The emergency page: one document that stops everything, for when nothing else answers.

Korean and English stand beside each other, so that nobody has to choose. Without its script it is a plain form. The
button looks like the stop of the dashboard (an octagon on yellow and black: red is a rising price here) and stays in
view; the ways that remain stand below it.
"""

import base64
import hashlib
import html

from actors.emergency.words import Said

_SCRIPT = """
const form = document.querySelector('form'), out = document.querySelector('output');
const other = ['서버에서: watchkeeper stop --local, 아니면 증권사 화면에서 직접',
  'on the server: watchkeeper stop --local; or on the broker\\'s own screen'];
const wait = ['정지하는 중, 최대 45초', 'stopping, at most 45 s'];
const slow = [`아직 답이 없습니다. 급하면 ${other[0]}`, `no answer yet. In a hurry, ${other[1]}`];
const gone = [
  `답이 없어 정지 여부를 알 수 없습니다. ${other[0]}`, `no answer: nobody knows whether it stopped; ${other[1]}`,
];
let latest = 0;
function show(mark, ko, en) {
  out.replaceChildren(...[['ko', ko], ['en', en]].map(([lang, lines]) => {
    const part = document.createElement('p');
    part.lang = lang;
    part.textContent = `${mark} ${lines.join('\\n')}`;
    return part;
  }));
  out.scrollIntoView({block: 'nearest'});
}
form.addEventListener('submit', async event => {
  event.preventDefault();
  const mine = ++latest;
  const tell = (mark, ko, en) => mine === latest && show(mark, ko, en);
  tell('…', [wait[0]], [wait[1]]);
  const late = setTimeout(() => tell('…', [wait[0], slow[0]], [wait[1], slow[1]]), 5000);
  try {
    const answer = await fetch('/stop', {
      method: 'POST',
      headers: {'Content-Type': 'application/json'},
      body: JSON.stringify({code: form.code.value, reason: form.reason.value}),
      signal: AbortSignal.timeout(45000),
    });
    const {said} = await answer.json();
    tell(said.mark, said.ko, said.en);
  } catch (error) {
    tell('✕', [gone[0]], [gone[1]]);
  } finally {
    clearTimeout(late);
  }
});
"""
_STYLE = """
body{background:#111;color:#eee;font:18px/1.5 system-ui,sans-serif;max-width:36rem;margin:0 auto;padding:1rem;
overflow-wrap:anywhere;word-break:keep-all}
header{position:sticky;top:0;background:#111;padding:.6rem 0;margin-top:-1rem}
h1{font-size:1.5rem;margin:.4rem 0 0}
button{display:flex;align-items:center;justify-content:center;gap:.7rem;width:100%;min-height:4.5rem;padding:.4rem 1rem;
background:#ffc93c;color:#14110a;font:800 1.5rem/1.2 system-ui,sans-serif;cursor:pointer;border:10px solid #ffc93c;
border-image:repeating-linear-gradient(-45deg,#14110a 0 12px,#ffc93c 12px 24px) 10}
svg{width:2rem;height:2rem;flex:none}
code{background:#222;padding:.1em .35em}
input{width:100%;font-size:1rem;padding:.6rem;margin:.2rem 0 .8rem;background:#222;color:#eee;border:1px solid #888;
box-sizing:border-box}
output p{font-size:1.1rem;white-space:pre-wrap;border:2px solid #888;padding:.6rem;margin:0 0 .6rem}
button:focus-visible,input:focus-visible{outline:3px solid #9fc3ff;outline-offset:2px}
"""
_PAGE = """<!doctype html><html lang="ko"><meta charset="utf-8"><title>긴급 정지 · Emergency stop</title>
<meta name="viewport" content="width=device-width"><style>{style}</style>
<header><button form="stop"><svg viewBox="0 0 16 16" aria-hidden="true"><path fill="currentColor"
d="M5.1 1.2h5.8l4 4v5.6l-4 4H5.1l-4-4V5.2z"/></svg>
<span>모두 정지<br><span lang="en">STOP EVERYTHING</span></span></button></header>
<h1>긴급 정지 · <span lang="en">EMERGENCY STOP</span></h1>
<p>모든 엔진을 멈추고 주문을 취소하며 포지션을 청산합니다.<br>
<span lang="en">Stops every engine, cancels orders and closes positions.</span></p>
<form id="stop" method="post" action="/stop">
<label>비상 코드 · <span lang="en">emergency code</span> <small>(emergency.code)</small>
<input name="code" type="password" autocomplete="off" autocapitalize="none" spellcheck="false" required
autofocus></label>
<label>사유(없어도 됨) · <span lang="en">reason (optional)</span> <input name="reason" maxlength="500"></label>
</form>
<output aria-live="assertive">{output}</output>
<h2>다른 방법 · <span lang="en">other ways</span></h2>
<ol><li>서버에서 · <span lang="en">on the server</span>: <code>watchkeeper stop --local</code></li>
<li>엔진마다 상태 폴더에 <code>STOP</code> 파일 · <span lang="en">at each engine, a file <code>STOP</code> in its state
folder</span></li>
<li>계좌마다 증권사 화면이나 전화로 · <span lang="en">account by account, on the broker's own screen or by
phone</span></li></ol>
<script>{script}</script></html>
"""


def page(said: Said | None = None) -> bytes:
    """With what became of a stop, for a browser that runs no script."""
    output = "" if said is None else _part("ko", said.mark, said.ko) + _part("en", said.mark, said.en)
    return _PAGE.format(style=_STYLE, script=_SCRIPT, output=output).encode()


def _part(language: str, mark: str, lines: tuple[str, ...]) -> str:
    text = html.escape(f"{mark} " + "\n".join(lines))
    return f'<p lang="{language}">{text}</p>'


def _csp_hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


HEADERS = {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": (
        f"default-src 'none'; script-src {_csp_hash(_SCRIPT)}; style-src {_csp_hash(_STYLE)}; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
