// From the first URL to the downloaded file, and everything a person does with their account: through
// the demo, as `make demo` starts it, with the codes that it prints.

import { readFileSync } from 'node:fs';
import { ask, check, facts, same, walk } from './harness.mjs';

const ACCOUNT = '/.vestibule/account';
const isPhone = facts.size === 'phone';
const HELLO = 'Hello from behind the gateway.';

let typed = 0;

/** The next code that the demo prints. */
async function code() {
  for (;;) {
    const shown = await ask('code', { nth: typed });
    if (shown) {
      typed += 1;
      return shown;
    }
    await new Promise((go) => { setTimeout(go, 50); });
  }
}

async function signIn(person, name) {
  await person.field('Name or email address').fill(name);
  await person.field('Password').fill(facts.password);
  await person.leads(() => person.button('Sign in').click());
}

/** The second factor is asked for, chosen, passed: to the files, and one of them downloaded. */
async function toTheFile(person) {
  await person.goto('/');
  await person.sees('1-sign-in', 'Sign in – Demo Files');
  if (isPhone) await person.picture('sign-in');
  await signIn(person, 'demo');
  await person.sees('2-choose', 'Confirm that it is you – Demo Files');
  if (isPhone) await person.picture('choose');
  await person.leads(() => person.button('Text message').click());
  await person.sees('3-code', 'Enter your code – Demo Files');
  if (isPhone) await person.picture('code');
  const sent = await code();
  await person.leads(() => person.field('Code').fill(sent));
  same(new URL(person.page.url()).pathname, '/', 'back to where it began');
  const file = person.link('hello.txt');
  await file.waitFor();
  await person.keep('4-files');
  same(await downloaded(person, () => file.evaluate((link) => { link.download = ''; link.click(); })), HELLO, 'the file');
}

/** The text of what `act` has downloaded. */
async function downloaded(person, act) {
  const [download] = await Promise.all([person.page.waitForEvent('download'), act()]);
  return readFileSync(await download.path(), 'utf8').trim();
}

/** An app, confirmed by its first code; the backup codes, shown once. */
async function setUp(person) {
  await person.goto(ACCOUNT);
  await person.sees('5-account', 'Your account – Demo Files');
  await person.leads(() => person.link('Add a second factor').click());
  await person.sees('6-add', 'Set up a second factor');
  await person.leads(() => person.link('Authenticator app').click());
  await person.leads(() => person.button('Show the key').click());
  await person.sees('7-app', 'Set up an authenticator app');
  if (isPhone) await person.picture('app');
  const key = (await person.page.locator('.key').innerText()).replaceAll(' ', '');
  const code = await ask('totp', { key });
  await person.leads(() => person.field('Type the code').fill(code));
  await person.sees('8-backup', 'Backup codes');
  await person.leads(() => person.button('Make new codes').click());
  await person.sees('9-codes', 'Backup codes');
  if (isPhone) await person.picture('backup-codes');
  const codes = (await person.page.locator('.codes li').allInnerTexts()).map((it) => it.trim());
  for (const text of codes) await ask('secret', { text });
  same(codes.length, 10, 'backup codes');
  const text = await downloaded(person, () => person.button('Download').click());
  check(codes.every((it) => text.includes(it)), 'every code is in the file');
  await printed(person);
  await person.leads(() => person.link('continue').click());
  return { key, codes };
}

/** On paper there are the codes, and nothing to press. */
async function printed(person) {
  await person.page.emulateMedia({ media: 'print' });
  await person.keep('9-codes-printed');
  check(await person.page.locator('.codes').isVisible(), 'the codes are printed');
  check(!(await person.button('Download').isVisible()), 'buttons are not');
  await person.page.emulateMedia({ media: 'screen' });
}

/** Another browser gets in by the app, and once more by a backup code. */
async function otherDevice(person, { key, codes }) {
  await person.goto('/hello.txt');
  await signIn(person, 'demo');
  await person.sees('10-app-code', 'Enter your code – Demo Files');
  const code = await ask('totp', { key, ahead: 30 });
  await person.leads(() => person.field('Code').fill(code));
  same(await person.text(), HELLO, 'the file');
  await person.context.clearCookies();
  await person.goto('/hello.txt');
  await signIn(person, 'demo');
  await person.leads(() => person.link('Confirm in another way').click());
  await person.sees('11-another-way', 'Confirm that it is you');
  await person.leads(() => person.link('Backup code').click());
  await person.sees('12-backup-code', 'Enter a backup code');
  await person.leads(() => person.field('Backup code').fill('0000 0000'));
  await person.sees('13-backup-wrong', 'Error: Enter a backup code');
  await person.leads(() => person.field('Backup code').fill(codes[0]));
  same(await person.text(), HELLO, 'the file');
  await person.leads(() => person.page.reload());
  same(await person.text(), HELLO, 'the file, again');
}

/** The first browser ends the sessions of the other, which must show who it is. */
async function endTheOther(person, other) {
  await person.goto(ACCOUNT);
  await person.sees('14-devices', 'Your account');
  if (!isPhone) await person.picture('devices');
  await person.leads(() => person.page.getByRole('listitem').filter({ hasNotText: 'this device' })
    .getByRole('button', { name: 'End session' }).first().click());
  await person.sees('15-ended', 'Your account');
  await person.leads(() => person.button('End all other sessions').click());
  await other.page.reload();
  check((await other.text()) !== HELLO, 'its session has ended');
  await other.sees('16-other-is-out');
}

/** Signed out: nothing is left to be seen, by the Back button either. */
async function signOut(person) {
  await person.goto(ACCOUNT);
  await person.leads(() => person.button('Sign out of this browser').click());
  await person.sees('17-signed-out', 'You are signed out');
  await person.page.goBack();
  await person.page.waitForLoadState();
  await person.sees('18-back', 'Sign in');
  check(!(await person.text()).includes('Devices and sessions'), 'nothing of the account');
  await person.goto('/hello.txt');
  check(!(await person.text()).includes(HELLO), 'nothing of the files');
}

/** Whoever has no second factor yet sets one up before anything else. */
async function firstFactor(person) {
  await person.goto('/hello.txt');
  await signIn(person, 'nora');
  await person.sees('19-first', 'Set up a second factor');
  await person.leads(() => person.link('Text message').click());
  await person.sees('20-phone', 'Set up text messages');
  await person.field('Mobile number').fill('12');
  await person.leads(() => person.button('Send code').click());
  await person.sees('21-no-phone', 'Error: Set up text messages');
  await person.field('Mobile number').fill('+45 20 65 43 21');
  await person.leads(() => person.button('Send code').click());
  await person.sees('22-phone-code', 'Set up text messages');
  const sent = await code();
  await person.leads(() => person.field('Code').fill(sent));
  await person.sees('23-not-now', 'Backup codes');
  await person.leads(() => person.link('Not now').click());
  same(await person.text(), HELLO, 'the file');
}

await walk(`whole-${facts.size}`, async (open) => {
  const person = await open(facts.size);
  await toTheFile(person);
  const app = await setUp(person);
  const other = await open(isPhone ? 'desktop' : 'phone');
  await otherDevice(other, app);
  await endTheOther(person, other);
  await signOut(person);
  await firstFactor(await open(facts.size));
});
