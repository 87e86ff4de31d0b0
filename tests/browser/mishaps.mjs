// What goes wrong for people: each meets a page that says what has happened and what to do next.

import { ask, check, facts, same, walk } from './harness.mjs';

const file = (who) => `/hello.txt?token=${who.token}`;
const not = (code) => (code === '000000' ? '000001' : '000000');

/** Goes for the file and has a code sent. */
async function begin(person, who) {
  await person.goto(file(who));
  await person.leads(() => person.button('Text message').click());
  return ask('sms', { to: who.phone });
}

/** Sends a code that was typed. */
async function type(person, code) {
  await person.field('Code').fill(code);
  if (person.options.javaScriptEnabled === false) await person.leads(() => person.button('Confirm').click());
  else await person.page.waitForEvent('domcontentloaded');
}

/** Whatever the page says, it says these words, and whom to ask. */
async function says(person, name, words) {
  await person.sees(name);
  const text = await person.text();
  for (const one of [words, 'help@example.org']) check(text.includes(one), `${name}: no "${one}" in ${text}`);
}

/** Links that lead nowhere (any more), and paths that are not for whoever asks. */
async function links(person) {
  const answer = await person.goto('/share/there-is-no-such-link/');
  same(answer.status(), 404, 'an unknown link');
  await says(person, 'unknown-link', 'ask whoever gave it to you for a new one');
  // Its two seconds.
  await person.page.waitForTimeout(2000);
  await person.goto(facts.expired);
  await says(person, 'expired-link', 'ask whoever gave it to you for a new one');
  await person.goto(`/closed/a?token=${facts.anna.token}`);
  await says(person, 'closed', 'You may not open this');
  await person.goto('/.vestibule/assets/nothing');
  await says(person, 'nothing-here', 'nothing at this address');
}

/** Cookies that are not kept at all, or are lost on the way. */
async function cookies(open) {
  const none = await open('phone', { cookies: false });
  await none.goto(file(facts.anna));
  await none.leads(() => none.button('Text message').click());
  await says(none, 'cookies-off', 'Let this site set cookies');
  const lost = await open('desktop');
  const code = await begin(lost, facts.anna);
  await lost.context.clearCookies();
  await lost.leads(() => lost.field('Code').fill(code));
  await says(lost, 'cookie-lost', 'Let this site set cookies');
}

/** A code that was used, in another tab; and one whose tries are over. */
async function codes(open) {
  const person = await open('phone');
  const code = await begin(person, facts.anna);
  const tab = await person.context.newPage();
  await tab.goto(person.page.url());
  await tab.getByLabel('Code').fill(code);
  await tab.waitForURL((url) => url.pathname === '/hello.txt');
  await person.leads(() => person.field('Code').fill(code));
  await says(person, 'used-code', 'reload the page');
  const guest = await open('phone', { javaScriptEnabled: false });
  const other = await begin(guest, facts.bo);
  for (let i = 0; i < 5; i += 1) await type(guest, not(other));
  await says(guest, 'no-more-tries', 'Ask for a new one');
  await guest.leads(() => guest.button('Text message').click());
  await ask('sms', { to: facts.bo.phone });
  await type(guest, 'what?');
  await says(guest, 'no-digits', 'Type the digits');
}

/** Locked out: only the operator helps, or a backup code. */
async function locked(person) {
  const code = await begin(person, facts.cara);
  for (let i = 0; i < 5; i += 1) await type(person, not(code));
  await person.leads(() => person.button('Text message').click());
  await ask('sms', { to: facts.cara.phone });
  await type(person, '00000');
  await says(person, 'locked', 'locked after too many');
  await person.goto(file(facts.cara));
  await says(person, 'still-locked', 'locked after too many');
}

/** A form on somebody else's page, which sends this browser's cookie along. */
async function foreign(person) {
  await begin(person, facts.anna);
  const action = person.page.url();
  // To a browser, this is another site, without a policy of ours.
  await person.page.goto(`${facts.base.replace('localhost', '127.0.0.1')}/public/page`);
  await person.page.setContent(`<form method="post" action="${action}"><button name="action" value="send">Win</button></form>`);
  await person.leads(() => person.button('Win').click());
  await says(person, 'foreign', 'came from another page');
}

/** Nothing to send a code to. */
async function nothing(person) {
  await person.goto(file(facts.nora));
  await says(person, 'nothing', 'Ask whoever gave you this access');
}

await walk('mishaps', async (open) => {
  await links(await open('phone'));
  await cookies(open);
  await codes(open);
  await locked(await open('desktop', { javaScriptEnabled: false }));
  await nothing(await open('phone'));
  await foreign(await open('desktop'));
});
