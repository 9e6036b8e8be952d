// What the controls and the row without ssh talk to, in a process of its own: an HTTP echo, a TCP echo, and our server
// with one worker. Tells where they listen as one line of JSON, and ends with its standard input.
import { serve } from "@pathos/pathos";

/** Where everything listens. */
export interface Echo {
  http: number;
  tcp: number;
  url: string;
}

const http = Deno.serve(
  { hostname: "127.0.0.1", port: 0, onListen() {} },
  async (request) => new Response(await request.arrayBuffer()),
);
const tcp = Deno.listen({ hostname: "127.0.0.1", port: 0 });
(async () => {
  for await (const connection of tcp) {
    connection.setNoDelay(true);
    connection.readable.pipeTo(connection.writable).catch(() => {}); // whoever asked has gone
  }
})();
const server = await serve({ workers: 1 });
console.log(JSON.stringify({ http: http.addr.port, tcp: tcp.addr.port, url: server.url } satisfies Echo));

for await (const _ of Deno.stdin.readable);
await server.close();
Deno.exit(0);
