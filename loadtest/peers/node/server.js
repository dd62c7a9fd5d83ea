// The contract of POST /notifications and GET /session, as a good Node developer would write it: node:http without a framework, ws,
// ajv and jsonwebtoken. One process: sessions of a customer must be found by every request, and a cluster would need a bus between its
// workers. Missed calls, which are kept on disk and not pushed, are left out, as are resumption, receipts and limits.
'use strict';

const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const crypto = require('node:crypto');
const Ajv2020 = require('ajv/dist/2020');
const jwt = require('jsonwebtoken');
const { WebSocketServer } = require('ws');

const [address, secret] = process.argv.slice(2);
const [host, port] = address.split(':');
const BODY_BYTES_MAX = 64 * 1024;
const TOKENS_MAX = 100_000;
const PING_MS = 25_000;

// The published schemas, compiled once.
const schema = (name) => JSON.parse(fs.readFileSync(path.join(__dirname, `${name}.json`), 'utf8'));
const ajv = new Ajv2020({ strict: false, schemas: ['incomingCall', 'answeredCall', 'endedCall', 'missedCall'].map(schema) });
const validate = ajv.compile(schema('envelope'));

// jsonwebtoken takes a key object without converting the secret for each token.
const key = crypto.createSecretKey(Buffer.from(secret));
// Tokens that were verified are known until they expire, as they are in bellwire.
const known = new Map();

function verified(request) {
  const header = request.headers.authorization;
  if (!header || !header.startsWith('Bearer ')) return null;
  const token = header.slice(7);
  const before = known.get(token);
  if (before) return before.exp * 1000 > Date.now() ? before : null;
  try {
    const claims = jwt.verify(token, key, { algorithms: ['HS256'], issuer: 'dev' });
    if (known.size >= TOKENS_MAX) known.delete(known.keys().next().value);
    known.set(token, claims);
    return claims;
  } catch {
    return null;
  }
}

// Customer and negotiator -> sessions. A string as key: one look-up.
const sessions = new Map();
const place = (customer, negotiator) => `${customer}\n${negotiator}`;

function answer(response, status, body) {
  const text = JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  response.end(text);
}

const server = http.createServer({ keepAliveTimeout: 3_600_000 }, (request, response) => {
  if (request.method !== 'POST' || request.url !== '/notifications') return answer(response, 404, { error: 'not found' });
  const claims = verified(request);
  if (!claims) return answer(response, 401, { error: 'token refused' });
  if (!claims.scope?.split(' ').includes('notifications.telephony.write')) return answer(response, 403, { error: 'scope' });
  const customer = request.headers['reapit-customer'];
  if (!customer) return answer(response, 400, { error: 'reapit-customer' });
  const chunks = [];
  let bytes = 0;
  request.on('data', (chunk) => {
    bytes += chunk.length;
    if (bytes <= BODY_BYTES_MAX) chunks.push(chunk);
  });
  request.on('end', () => {
    if (bytes > BODY_BYTES_MAX) return answer(response, 413, { error: 'body' });
    publish(response, customer, chunks);
  });
});

function publish(response, customer, chunks) {
  let notification;
  try {
    notification = JSON.parse(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks));
  } catch {
    return answer(response, 400, { error: 'json' });
  }
  if (!validate(notification)) return answer(response, 422, { error: 'invalid', details: validate.errors });
  if (notification.subType === 'missedCall') return answer(response, 501, { error: 'missed calls are not kept' });
  const { type, subType, products, targets, payload } = notification;
  const id = crypto.randomUUID();
  const now = Date.now();
  const event = {
    type: 'event', id, callId: payload.id ?? id, at: new Date(now).toISOString(),
    expires: subType === 'incomingCall' ? new Date(now + 45_000).toISOString() : undefined,
    customerId: customer, notification: { type, subType, products, payload },
  };
  // Encoded once for all sessions.
  const frame = Buffer.from(JSON.stringify(event));
  for (const negotiator of targets.negotiatorId) {
    const open = sessions.get(place(customer, negotiator));
    if (open) for (const session of open) session.send(frame, TEXT);
  }
  answer(response, 202, { id });
}

const TEXT = { binary: false };
// Without compression, the default of ws, which its documentation warns of.
const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: 16 * 1024, clientTracking: true });

server.on('upgrade', (request, socket, head) => {
  const claims = request.url === '/session' ? verified(request) : null;
  if (!claims?.customerId || !claims.negotiatorId) {
    return socket.end('HTTP/1.1 401 Unauthorized\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
  }
  sockets.handleUpgrade(request, socket, head, (session) => open(session, claims));
});

function open(session, claims) {
  const key = place(claims.customerId, claims.negotiatorId);
  let own = sessions.get(key);
  if (!own) sessions.set(key, (own = new Set()));
  own.add(session);
  session.isAlive = true;
  session.on('pong', alive);
  session.on('error', () => session.terminate());
  session.on('close', () => {
    own.delete(session);
    if (own.size === 0 && sessions.get(key) === own) sessions.delete(key);
  });
  session.send(JSON.stringify({
    type: 'welcome', sessionId: crypto.randomUUID(), calls: [], pingSeconds: PING_MS / 1000,
    tokenExpires: new Date(claims.exp * 1000).toISOString(), now: new Date().toISOString(),
  }));
}

function alive() {
  this.isAlive = true;
}

// Broken connections are found as the documentation of ws has it.
setInterval(() => {
  for (const session of sockets.clients) {
    if (!session.isAlive) {
      session.terminate();
      continue;
    }
    session.isAlive = false;
    session.ping();
  }
}, PING_MS);

server.listen({ host, port: Number(port), backlog: 4096 });
