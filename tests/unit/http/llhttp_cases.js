// Writes llhttp.data: requests of our own, and what llhttp, the parser inside Node, makes of them.
//
//   node tests/unit/http/llhttp_cases.js >tests/unit/http/llhttp.data
//
// The requests are a list of well-known forms (smuggling, framing, line ends), requests made by a
// grammar, and those with a few bytes changed. The generator is seeded, so that a run with the same
// Node writes the same file. A case, with \r, \n, \t, \\ and \xNN in the place of bytes that are not
// printable:
//
//   < what was sent
//   > METHOD VERSION-MINOR keep|close|upgrade TARGET      one request that was found,
//   : NAME: VALUE                                         its fields,
//   = BODY                                                its body where that came to its end
//   ! accept|partial|CODE                                 nothing left, half a request, or refused
//
// What comes behind a request with `close` or `upgrade` is not looked at: its meaning is another.
'use strict';

const { HTTPParser, allMethods } = process.binding('http_parser');

const SEED = 9112;
const GRAMMAR_CASES = 300;
const MUTATED_CASES = 820;

let state = SEED;
function random(end) { // mulberry32
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) % end;
}
const pick = (list) => list[random(list.length)];
const chance = (percent) => random(100) < percent;

// Well-known forms. LINE and HOST keep the rest of a head right.
const LINE = 'GET / HTTP/1.1\r\n';
const POST = 'POST /p HTTP/1.1\r\n';
const HOST = 'Host: a\r\n';
const NEXT = 'GET /next HTTP/1.1\r\nHost: b\r\n\r\n';

const startLines = [
  'GET / HTTP/1.0', 'GET / HTTP/1.1', 'GET / HTTP/1.2', 'GET / HTTP/2.0', 'GET / HTTP/0.9', 'GET / HTTP/1.10',
  'GET / HTTP/1', 'GET / http/1.1', 'GET / HTTP/1.1 ', 'GET /', 'GET', 'GET  / HTTP/1.1', 'GET /  HTTP/1.1',
  ' GET / HTTP/1.1', 'GET\t/\tHTTP/1.1', 'get / HTTP/1.1', 'G@T / HTTP/1.1', 'FROB / HTTP/1.1', 'PRI * HTTP/2.0',
  'OPTIONS * HTTP/1.1', 'GET * HTTP/1.1', 'GET index.html HTTP/1.1', 'GET http://a/b?c HTTP/1.1',
  'GET http://u:p@a/ HTTP/1.1', 'GET http:///x HTTP/1.1', 'GET ftp://a/ HTTP/1.1', 'CONNECT a:443 HTTP/1.1',
  'CONNECT a HTTP/1.1', 'CONNECT /x HTTP/1.1', 'GET /a b HTTP/1.1', 'GET /a#b HTTP/1.1', 'GET /\x80 HTTP/1.1',
  'GET /\xc3\xa9 HTTP/1.1', 'GET /\x00 HTTP/1.1', 'GET /\x7f HTTP/1.1', 'GET /a"b HTTP/1.1', 'GET /a<b HTTP/1.1',
  'GET /{a}|b HTTP/1.1', 'GET /a\\b HTTP/1.1', 'GET /%zz HTTP/1.1', 'GET /?a?b HTTP/1.1', 'GET ?a HTTP/1.1',
  'HTTP/1.1 200 OK', 'GET / RTSP/1.0', 'GET / ICE/1.0', 'SOURCE / ICE/1.0', 'GET / HTTP/1.1\r', 'GET /\x0b HTTP/1.1',
];
const fieldLines = [
  'Host : a', 'Host\t: a', ' Host: a', '\tX: a', 'X: a\r\n b', 'X: a\r\n\tb', 'X:a', 'X:', 'X: ', 'X:\ta\t', 'X: a b',
  'X: \x00', 'X: a\x00b', 'X: a\x01', 'X: a\x7f', 'X: \x80\xff', 'X: a\rb', 'X: a\nY: b', 'X', 'X\r\nY: a', ': a',
  'X@: a', 'X(: a', 'X\x80: a', 'X_y: a', "!#$%&'*+-.^_`|~: a", 'X: a\r', '\x00X: a', 'X\x00: a', 'X=a: b', 'X/y: a',
  'Host: b', 'Host: a, b', 'Host: a b', 'Host: ', 'Host: a:b', 'Host: a:80', 'Host: [::1]', 'Host: u@a', 'Host: a/b',
  'Connection: close', 'Connection: keep-alive', 'Connection: close, keep-alive', 'Connection: Close',
  'Connection: foo', 'Connection: ,', 'Connection: foo, close', 'Connection: upgrade\r\nUpgrade: x', 'Upgrade: x',
  'Connection: closed', 'Connection: keep-alive\r\nConnection: close', 'Expect: 100-continue',
  'Expect: x',
];
const framings = [
  'Content-Length: 3', 'Content-Length: 03', 'Content-Length: +3', 'Content-Length: -3', 'Content-Length: 3 ',
  'Content-Length: 3, 3', 'Content-Length: 3,4', 'Content-Length: 3\r\nContent-Length: 3', 'Content-Length: 0x3',
  'Content-Length: 3\r\nContent-Length: 4', 'Content-Length: ', 'Content-Length: 3a', 'Content-Length: 3 4',
  'Content-Length: 18446744073709551616', 'Content-Length: 18446744073709551615', 'Content-Length: 3.0',
  'Content-Length : 3', 'Content_Length: 3', 'content-length: 3', 'Content-Length:\t3', 'Content-Length: \x0b3',
  'Transfer-Encoding: chunked', 'Transfer-Encoding: CHUNKED', 'transfer-encoding: Chunked', 'Transfer-Encoding:chunked',
  'Transfer-Encoding: chunked ', 'Transfer-Encoding: "chunked"', 'Transfer-Encoding: chunked, identity',
  'Transfer-Encoding: identity', 'Transfer-Encoding: identity, chunked', 'Transfer-Encoding: gzip',
  'Transfer-Encoding: gzip, chunked', 'Transfer-Encoding: chunked, chunked', 'Transfer-Encoding: xchunked',
  'Transfer-Encoding: chunkedx', 'Transfer-Encoding: chunked;q=1', 'Transfer-Encoding: ', 'Transfer-Encoding: ,chunked',
  'Transfer-Encoding: chunked,', 'Transfer-Encoding: \x0bchunked', 'Transfer-Encoding : chunked',
  'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked', 'Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked',
  'Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip', 'Transfer-Encoding\r\n: chunked', 'Transfer-Encoding:\r\n chunked',
  'Content-Length: 3\r\nTransfer-Encoding: chunked', 'Transfer-Encoding: chunked\r\nContent-Length: 3',
  'Content-Length: 0\r\nTransfer-Encoding: identity', 'X: a\nTransfer-Encoding: chunked', 'Transfer-Encoding: chun\x00ked',
];
const chunkedBodies = [
  '3\r\nabc\r\n0\r\n\r\n', '03\r\nabc\r\n0\r\n\r\n', '3\r\nabc\r\n00\r\n\r\n', '3;x\r\nabc\r\n0\r\n\r\n',
  '3;x=y\r\nabc\r\n0;z\r\n\r\n', '3;x="a b"\r\nabc\r\n0\r\n\r\n', '3 ;x\r\nabc\r\n0\r\n\r\n', '3 \r\nabc\r\n0\r\n\r\n',
  '3\t\r\nabc\r\n0\r\n\r\n', ' 3\r\nabc\r\n0\r\n\r\n', '3\nabc\n0\n\n', '3\r\nabc\n0\r\n\r\n', '3\r\nabc0\r\n\r\n',
  '3\r\nabcd\r\n0\r\n\r\n', '3\r\nab\r\n0\r\n\r\n', '0x3\r\nabc\r\n0\r\n\r\n', '+3\r\nabc\r\n0\r\n\r\n', '-3\r\nabc\r\n0\r\n\r\n',
  'A\r\n0123456789\r\n0\r\n\r\n', 'a\r\n0123456789\r\n0\r\n\r\n', 'g\r\nabc\r\n0\r\n\r\n', '\r\nabc\r\n0\r\n\r\n',
  '3;\r\nabc\r\n0\r\n\r\n', '3;=y\r\nabc\r\n0\r\n\r\n', '3;x=\r\nabc\r\n0\r\n\r\n', '3;x="\r\nabc\r\n0\r\n\r\n',
  '3;\x00\r\nabc\r\n0\r\n\r\n', '3;x\ny\r\nabc\r\n0\r\n\r\n', '3;x\ry\r\nabc\r\n0\r\n\r\n', '3\r\r\nabc\r\n0\r\n\r\n',
  '10000000000000000\r\nabc', 'ffffffffffffffff\r\nabc', '7fffffffffffffff\r\nabc', '3\r\nabc\r\n0\r\nT: v\r\n\r\n',
  '3\r\nabc\r\n0\r\nT : v\r\n\r\n', '3\r\nabc\r\n0\r\nT: a\r\n b\r\n\r\n', '3\r\nabc\r\n0\r\nT: \x00\r\n\r\n',
  '3\r\nabc\r\n0\r\nContent-Length: 5\r\n\r\n', '3\r\nabc\r\n0\r\n: v\r\n\r\n', '3\r\nabc\r\n0\r\nT\r\n\r\n', '0\r\n\r\n',
  '3\r\nabc\r\n0\r\n\n', '3\r\nabc\r\n0\n\r\n', '3\r\nabc\r\n\r\n0\r\n\r\n', '3\r\nabc\r\n0\r\nX\r\n', '1\r\na\r\n2\r\nbc\r\n0\r\n\r\n',
  '3 3\r\nabc\r\n0\r\n\r\n', '3;x;y=z\r\nabc\r\n0\r\n\r\n', '3\x0b\r\nabc\r\n0\r\n\r\n', '3,\r\nabc\r\n0\r\n\r\n',
];

function* wellKnown() {
  for (const line of startLines) yield `${line}\r\n${HOST}\r\n${NEXT}`;
  for (const line of fieldLines) yield `${LINE}${HOST}${line}\r\n\r\n${NEXT}`;
  for (const line of fieldLines) yield `${LINE}${line}\r\n\r\n${NEXT}`;
  for (const line of framings) {
    yield `${POST}${HOST}${line}\r\n\r\nabc${NEXT}`;
    yield `${POST}${HOST}${line}\r\n\r\n3\r\nabc\r\n0\r\n\r\n${NEXT}`;
    yield `POST / HTTP/1.0\r\n${line}\r\n\r\n3\r\nabc\r\n0\r\n\r\n`;
    yield `GET / HTTP/1.1\r\n${HOST}${line}\r\n\r\n`;
  }
  for (const body of chunkedBodies) yield `${POST}${HOST}Transfer-Encoding: chunked\r\n\r\n${body}${NEXT}`;
  for (const end of ['\n', '\r', '\n\r', '\r\r\n', '\r\n\r', '\x00']) {
    yield `GET / HTTP/1.1${end}Host: a\r\n\r\n`;
    yield `${LINE}Host: a${end}X: b\r\n\r\n`;
    yield `${LINE}${HOST}${end}${NEXT}`;
    yield `${end}${LINE}${HOST}\r\n`;
    yield `${LINE}${HOST}\r\n${end}${NEXT}`;
  }
}

// The grammar: requests that are right, or nearly.
function makeTarget() {
  const path = () => Array.from({ length: 1 + random(3) }, () => '/' + pick(['', 'a', 'bc', '%20', 'x.y', '~u', 'a+b', '..']))
    .join('');
  return path() + (chance(30) ? '?' + pick(['', 'a=1', 'a=1&b=%41', 'x?y/z']) : '');
}
function makeField() {
  const blank = pick(['', ' ', ' ', ' ', '\t', '  ']);
  const value = pick(['', '1', 'text/plain', 'a, b', '"q, \\"r"', '\xe9t\xe9', 'a\tb', '*/*;q=0.1', 'x'.repeat(1 + random(15))]);
  const name = pick(['Accept', 'user-agent', 'X-Y', 'COOKIE', 'Date', 'Referer', 'Content-Type', 'Via', 'TE', 'x'.repeat(1 + random(15))]);
  return `${name}:${blank}${value}${pick(['', '', '', ' ', '\t '])}\r\n`;
}
function makeChunks(body) {
  let text = '';
  while (body.length > 0) {
    const size = 1 + random(body.length);
    text += size.toString(16) + pick(['', '', '', ';a', ';a=b', ';a="b;c"']) + '\r\n' + body.slice(0, size) + '\r\n';
    body = body.slice(size);
  }
  return text + '0\r\n' + (chance(20) ? 'Trailer: v\r\n' : '') + '\r\n';
}
function makeRequest() {
  const method = pick(['GET', 'GET', 'POST', 'PUT', 'HEAD', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE']);
  const minor = chance(15) ? 0 : 1;
  let fields = minor === 1 || chance(50) ? HOST : '';
  let body = '';
  for (let i = random(4); i > 0; i--) fields += makeField();
  if (chance(25)) fields += `Connection: ${pick(['close', 'keep-alive', 'x', 'Keep-Alive, x'])}\r\n`;
  if (chance(50)) {
    body = 'abcdef\r\n\x00'.repeat(3).slice(0, random(25));
    if (minor === 1 && chance(50)) {
      fields += 'Transfer-Encoding: chunked\r\n';
      body = makeChunks(body);
    } else {
      fields += `Content-Length: ${body.length}\r\n`;
    }
  }
  return `${method} ${makeTarget()} HTTP/1.${minor}\r\n${fields}\r\n${body}`;
}
function makeCase() {
  let text = chance(10) ? '\r\n' : '';
  for (let i = 1 + random(2); i > 0; i--) text += makeRequest();
  return chance(10) ? text.slice(0, random(text.length)) : text;
}

// One to three changes of the kind that parsers disagree about.
const special = ['\x00', '\t', '\n', '\r', '\r\n', ' ', ':', ',', ';', '\x0b', '\x7f', '\x80', '0', '9', 'a', '"', '#', '/', '\\'];
function mutate(text) {
  for (let i = 1 + random(3); i > 0; i--) {
    const at = random(text.length + 1);
    const cut = pick([0, 0, 1, 1, 2]);
    text = text.slice(0, at) + (chance(75) ? pick(special) : '') + text.slice(at + cut);
  }
  return text;
}

function escape(text) {
  return text.replace(/[^ -\[\]-~]/g, (byte) => ({ '\r': '\\r', '\n': '\\n', '\t': '\\t', '\\': '\\\\' })[byte] ||
    '\\x' + byte.charCodeAt(0).toString(16).padStart(2, '0'));
}

// Returns the lines of one case.
function ask(text) {
  const lines = ['< ' + escape(text)];
  const parser = new HTTPParser();
  let isOpen = false, isOver = false, fields = [], target = '', body = '';
  parser.initialize(HTTPParser.REQUEST, {}, 1 << 20, HTTPParser.kLenientNone);
  parser[HTTPParser.kOnMessageBegin] = () => { isOpen = true; fields = []; body = ''; };
  parser[HTTPParser.kOnHeaders] = (more, url) => { fields = fields.concat(more); target = url; };
  parser[HTTPParser.kOnHeadersComplete] = (major, minor, last, method, url, status, message, upgrade, keep) => {
    if (isOver) return 0;
    fields = fields.concat(last || []);
    target = url ?? target;
    isOver = upgrade || !keep;
    lines.push(`> ${allMethods[method]} ${minor} ${upgrade ? 'upgrade' : keep ? 'keep' : 'close'} ${escape(target)}`);
    for (let i = 0; i < fields.length; i += 2) lines.push(`: ${escape(fields[i])}: ${escape(fields[i + 1])}`);
    return 0;
  };
  parser[HTTPParser.kOnBody] = (bytes) => { body += bytes.toString('latin1'); };
  parser[HTTPParser.kOnMessageComplete] = () => {
    if (lines.stopped) return;
    lines.push('= ' + escape(body));
    isOpen = false;
    lines.stopped = isOver;
  };
  const result = parser.execute(Buffer.from(text, 'latin1'));
  // A request with `close` that came to its end is the last one, whatever follows.
  const verdict = lines.stopped ? 'accept' : result instanceof Error ? result.code : isOpen ? 'partial' : 'accept';
  lines.push('! ' + verdict);
  return lines;
}

const cases = new Set(wellKnown());
for (let i = 0; i < GRAMMAR_CASES; i++) cases.add(makeCase());
const right = [...cases].filter((text) => ask(text).length > 2);
for (let i = 0; i < MUTATED_CASES; i++) cases.add(mutate(pick(right)));
console.log(`# llhttp ${process.versions.llhttp}; written by llhttp_cases.js`);
for (const text of cases) if (text.length > 0) console.log(ask(text).join('\n'));
