// The server's side of a WebSocket, as far as a tail needs it: text frames out, everything in ignored.
import { createHash } from "node:crypto";

const SALT = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** Answers the handshake; gives a way to send text. */
export function upgrade(request, socket) {
  const key = createHash("sha1").update(`${request.headers["sec-websocket-key"]}${SALT}`).digest("base64");
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${key}\r\n\r\n`,
  );
  socket.on("error", () => socket.destroy());
  socket.on("data", (data) => {
    // A close frame is answered by closing.
    if ((data[0] & 0x0f) === 8) socket.end();
  });
  return (text) => {
    const body = Buffer.from(text);
    const head = Buffer.alloc(body.length < 126 ? 2 : body.length < 65_536 ? 4 : 10);
    head[0] = 0x81;
    if (head.length === 2) head[1] = body.length;
    else if (head.length === 4) {
      head[1] = 126;
      head.writeUInt16BE(body.length, 2);
    } else {
      head[1] = 127;
      head.writeBigUInt64BE(BigInt(body.length), 2);
    }
    if (socket.writable) socket.write(Buffer.concat([head, body]));
  };
}
