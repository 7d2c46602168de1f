// A call rings: its caller's name stands on the console and on the CRM's page.

import {
  exampleSettings,
  expect,
  noComplaints,
  open,
  post,
  ring,
  run,
  serveExample,
  settings,
  signedIn,
  until,
} from "./browser.mjs";

// The board of the alerts of one call, in every order and each twice. Runs in the page.
async function foldInAllOrders() {
  const { Board } = await import("/console/board.js");
  const contact = { kind: "customer", id: "42", name: "Jane Dough" };
  const alert = (id, second, kind, more) => ({
    id,
    kind,
    at: new Date(Date.UTC(2026, 0, 1, 12, 0, second)).toISOString(),
    call_sid: "CAL1",
    interaction_id: "1",
    direction: "inbound",
    from: "+14045550123",
    ...more,
  });
  const alerts = [
    alert("a", 0, "incoming-call", {}),
    // The name came later.
    alert("e", 0, "incoming-call", { contact }),
    alert("b", 3, "call-routed", { contact }),
    alert("c", 20, "call-missed", { contact, outcome: "no_answer", duration: 20 }),
    alert("d", 20, "new-lead", { contact, outcome: "no_answer", duration: 20 }),
  ];
  const orders = (rest) =>
    rest.length ? rest.flatMap((one) => orders(rest.filter((it) => it !== one)).map((order) => [one, ...order])) : [[]];
  return orders(alerts).map((order) => {
    const board = new Board();
    [...order, ...order].forEach((one) => board.take(one));
    const { going, over } = board.list(Date.UTC(2026, 0, 1, 12, 1));
    const sorted = over.map((call) => Object.entries(call).sort());
    return JSON.stringify([going.length, sorted]);
  });
}

run(async (browser) => {
  const { trunkline } = settings;
  await serveExample(settings.page_port, exampleSettings(trunkline));

  // Somebody without a token sees nothing but the way in; with a wrong one he is told so.
  const stranger = await open(browser, `${trunkline}/console#/calls`);
  await stranger.getByLabel("Token").fill("no.such.token");
  await stranger.keyboard.press("Enter");
  await stranger.getByRole("alert").getByText("The token is not valid").waitFor();
  await stranger.getByLabel("Token").fill(settings.token);
  await stranger.keyboard.press("Enter");
  await stranger.getByRole("heading", { name: "Calls" }).waitFor();

  const desk = await signedIn(browser, trunkline);
  expect(!desk.url().includes("token"), "the token stays in the address");
  const cookies = await desk.context().cookies();
  expect(
    cookies.length === 1 && cookies[0].httpOnly && cookies[0].sameSite === "Strict",
    "the session is no such cookie",
  );
  expect((await desk.evaluate(() => document.cookie)) === "", "a script reads the session");
  await until(desk, () => document.querySelector(".connection")?.dataset.state === "live");

  const boards = await desk.evaluate(foldInAllOrders);
  expect(new Set(boards).size === 1, `the board depends on the order of alerts: ${[...new Set(boards)].join(" or ")}`);

  const crm = await open(browser, `http://127.0.0.1:${settings.page_port}/`);
  await crm.getByText("connected, listening to 2 channels").waitFor();

  const began = performance.now();
  await post(trunkline, "pre-call", ring(1));
  await desk.locator(".board li[data-state=ringing]", { hasText: "Jane Dough" }).waitFor();
  const onConsole = performance.now() - began;
  await crm.locator(".pop.ringing", { hasText: "Jane Dough calls" }).waitFor();
  await crm.locator(".pop.mine").waitFor();
  console.log(`on the console after ${Math.round(onConsole)} ms`);

  await post(trunkline, "post-call", { ...settings.post_call, resource_id: ring(1).resource_id, id: ring(1).id });
  await desk.locator(".board li[data-state=completed] a", { hasText: "Jane Dough" }).click();
  await desk.getByRole("heading", { name: "Jane Dough" }).waitFor();
  await desk.getByText("It rings").waitFor();
  await crm.locator(".pop.over", { hasText: "Jane Dough" }).waitFor();

  await desk.getByRole("button", { name: "Sign out" }).click();
  await desk.getByLabel("Token").waitFor();
  expect((await desk.context().cookies()).length === 0, "the session outlives signing out");
  [desk, crm, stranger].forEach(noComplaints);
});
