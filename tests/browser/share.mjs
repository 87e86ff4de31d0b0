// Share links on a phone: one recipient, several, a second visit, without script, and what goes wrong.

import { ask, check, facts, same, walk } from './harness.mjs';

const SHARED = 'A folder is shared with you –';
const ENTER = 'Enter your code –';
const GONE = 'This link does not work –';

/** Types the code; where there is script, that sends it. */
async function type(person, code) {
  const isPlain = person.options.javaScriptEnabled === false;
  if (isPlain) await person.field('Code').fill(code);
  await person.leads(() => (isPlain ? person.button('Confirm').click() : person.field('Code').fill(code)));
}

async function isIn(person, path = '/docs/') {
  same(await person.text(), `GET ${path} 0 bytes`, 'the folder');
  same(new URL(person.page.url()).pathname, path, 'no token in the address');
}

/** One press, one code, in; then straight on. */
async function alone(person) {
  await person.goto(facts.one);
  await person.sees('one', SHARED);
  await person.leads(() => person.button('Send me the code').click());
  await person.sees('one-code', ENTER);
  await type(person, await ask('sms', { to: facts.phone }));
  await isIn(person);
  await person.goto(facts.one);
  await isIn(person);
  // Out of the folder.
  const beside = await person.goto('/hello.txt');
  same(beside.status(), 403, 'beside the folder');
  await person.sees('beside', 'Outside of the share –');
}

/** Who are you? By mail. */
async function among(person) {
  await person.goto(facts.several);
  await person.sees('several', SHARED);
  const names = await person.order();
  same(names.filter((it) => it.startsWith('button')).length, 3, 'three ways for the keyboard');
  await person.leads(() => person.button('b****@example.org').click());
  await person.sees('several-code', ENTER);
  await type(person, await ask('mail'));
  await isIn(person);
}

/** Pressing again, and coming back to choose somebody else. */
async function undecided(person) {
  await person.goto(facts.several);
  await person.leads(() => person.button('+45******78').click());
  await ask('sms', { to: facts.phone });
  await person.page.goBack();
  await person.page.reload();
  await person.sees('back', SHARED);
  await person.leads(() => person.button('b****@example.org').click());
  await type(person, await ask('mail'));
  await isIn(person);
}

async function refused(open) {
  const person = await open('phone');
  same((await person.goto(facts.expired)).status(), 404, 'expired');
  await person.sees('expired', GONE);
  same((await person.goto('/share/of-nobody-at-all')).status(), 404, 'unknown');
  await person.sees('unknown', GONE);
  same((await person.goto(facts.usedUp)).status(), 403, 'used up');
  await person.sees('used-up', 'This link is used up –');
  await person.goto(facts.unreachable);
  await person.sees('unreachable', SHARED);
  const blocked = await open('phone', { cookies: false });
  await blocked.goto(facts.one);
  await blocked.leads(() => blocked.button('Send me the code').click());
  await blocked.sees('no-cookies', 'Cookies are needed –');
}

/** What is revoked while it is open ends, and says so. */
async function revoked(person) {
  await person.goto(facts.several);
  await person.leads(() => person.button('b****@example.org').click());
  await type(person, await ask('mail'));
  await isIn(person);
  await ask('revoke');
  const over = await person.goto('/docs/');
  same(over.status(), 401, 'over');
  await person.sees('revoked', GONE);
  await person.goto(facts.several);
  await person.sees('revoked-link', GONE);
}

async function speaks(open) {
  for (const locale of ['de-DE', 'da-DK', 'es-ES', 'fr-FR']) {
    const person = await open('phone', { locale });
    await person.goto(facts.several);
    await person.sees(`several-${locale.slice(0, 2)}`);
    await person.goto('/share/of-nobody-at-all');
    await person.sees(`unknown-${locale.slice(0, 2)}`);
  }
}

await walk('share', async (open) => {
  await alone(await open('phone'));
  await alone(await open('desktop', { javaScriptEnabled: false }));
  await among(await open('phone'));
  await undecided(await open('desktop'));
  await refused(open);
  await speaks(open);
  await revoked(await open('phone'));
  const referers = await ask('referers');
  check(referers.every((it) => !it.includes('/share/')), `the token went along: ${referers}`);
});
