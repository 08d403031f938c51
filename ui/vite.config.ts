// The build: one page, hashed assets under assets/, nothing fetched from anywhere else.
//
// `npm run dev` proxies the APIs to a running Bramble (BRAMBLE_URL) or to the mock of dev/mock.mjs.
import { defineConfig } from "vite";

const server = process.env.BRAMBLE_URL ?? "http://127.0.0.1:3999";
const doors = ["/prometheus", "/loki", "/tempo", "/jaeger", "/api"];

export default defineConfig({
  base: "/",
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    reportCompressedSize: true,
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: Object.fromEntries(doors.map((door) => [door, { target: server, changeOrigin: true }])),
  },
});
