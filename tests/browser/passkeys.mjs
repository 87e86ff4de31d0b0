// Passkeys, with Chromium's virtual authenticators (the WebAuthn domain of its DevTools protocol).

import { ask, check, facts, same, walk } from './harness.mjs';

const FILE = '/hello.txt';
const PAGE = '/.vestibule/enrol/passkey';
const TITLE = 'Your passkeys';
const CHOOSE = 'Confirm that it is you –';

/** The authenticators of somebody's machine. */
class Authenticators {
  static async of(person) {
    const it = new Authenticators();
    it.cdp = await person.context.newCDPSession(person.page);
    await it.cdp.send('WebAuthn.enable');
    return it;
  }

  async plug(transport) {
    const options = {
      protocol: 'ctap2',
      transport,
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    };
    const { authenticatorId } = await this.cdp.send('WebAuthn.addVirtualAuthenticator', { options });
    return authenticatorId;
  }

  async unplug(authenticatorId) {
    await this.cdp.send('WebAuthn.removeVirtualAuthenticator', { authenticatorId });
  }

  async keys(authenticatorId) {
    return (await this.cdp.send('WebAuthn.getCredentials', { authenticatorId })).credentials;
  }

  async verifies(authenticatorId, isUserVerified) {
    await this.cdp.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified });
  }

  /** As another device would have it that was given a copy some time ago. */
  async setBack(authenticatorId, credential, signCount) {
    await this.cdp.send('WebAuthn.removeCredential', { authenticatorId, credentialId: credential.credentialId });
    await this.cdp.send('WebAuthn.addCredential', { authenticatorId, credential: { ...credential, signCount } });
  }
}

async function signIn(person, path, base = '') {
  await person.goto(`${base}/.vestibule/sign-in?return_to=${encodeURIComponent(path)}`);
  await person.page.locator('#username').fill('anna');
  await person.page.locator('#password').fill(facts.password);
  await person.leads(() => person.button('Sign in').click());
}

async function byMessage(person) {
  await person.leads(() => person.button('Text message').click());
  const code = await ask('sms', { to: facts.phone });
  await person.leads(() => person.field('Code').fill(code));
}

async function isIn(person) {
  same(await person.text(), 'GET /hello.txt 0 bytes', 'the file');
}

/** What the page says after the browser has been asked. */
async function says(person, words) {
  await person.page.getByRole('alert').filter({ hasText: words }).waitFor();
}

async function add(person, name) {
  await person.field('Name of the new passkey').fill(name);
  await person.leads(() => person.button('Add a passkey').click());
}

async function names(person) {
  return person.page.locator('ul.list strong').allInnerTexts();
}

/** Registers two, names one, and makes no second on one device. */
async function registers(person, machine) {
  await signIn(person, PAGE);
  await byMessage(person);
  await person.sees('none', TITLE);
  const laptop = await machine.plug('internal');
  await add(person, 'Laptop');
  // There are no backup codes yet.
  check(person.page.url().includes('/backup-codes'), `led to ${person.page.url()}`);
  const [key] = await machine.keys(laptop);
  same([key.isResidentCredential, key.rpId], [true, 'localhost'], 'a discoverable passkey of this host');

  await person.goto(PAGE);
  await person.sees('one', TITLE);
  same(await names(person), ['Laptop'], 'what is there');
  await person.button('Add a passkey').click();
  await says(person, 'This device already has one of your passkeys.');
  await person.sees('known', TITLE);

  await machine.unplug(laptop);
  const usb = await machine.plug('usb');
  await add(person, 'Key');
  await person.goto(PAGE);
  await person.field('Name').nth(1).fill('Blue key');
  await person.leads(() => person.button('Save name').nth(1).click());
  await person.sees('two', TITLE);
  same(await names(person), ['Laptop', 'Blue key'], 'what is there');
  return usb;
}

/** Signs out and in, and passes with the passkey. */
async function passes(person) {
  await person.context.clearCookies();
  await signIn(person, FILE);
  await person.sees('challenge', CHOOSE);
  const order = await person.order();
  check(order[0].startsWith('a ') && order[1].startsWith('button Passkey'), `the keyboard meets ${order}`);
  await person.leads(() => person.button('Passkey').click());
  await isIn(person);
}

/** Asks for a newer proof, so that the challenge page is there. */
async function again(person) {
  await person.goto(`/.vestibule/challenge?return_to=${FILE}&fresh=true`);
}

/** An authenticator that knows its user no more: the browser refuses, and so do we. */
async function unverified(person, machine, usb) {
  await machine.verifies(usb, false);
  await again(person);
  await person.button('Passkey').click();
  await says(person, 'Nothing was confirmed');
  await person.sees('cancelled', CHOOSE);
  // A page that does not ask for it gets an answer that is not taken.
  await person.page.route('**/.vestibule/challenge**', async (route) => {
    if (!route.request().postData()?.includes('ask-passkey')) return route.continue();
    const response = await route.fetch();
    const json = await response.json();
    json.publicKey.userVerification = 'discouraged';
    return route.fulfill({ response, json });
  });
  await person.leads(() => person.button('Passkey').click());
  await says(person, 'This passkey was not accepted');
  await person.sees('not-accepted', /Error/);
  await person.page.unroute('**/.vestibule/challenge**');
  await machine.verifies(usb, true);
}

/** Two authenticators with one key: the older count is refused. */
async function copied(person, machine, usb) {
  const [key] = await machine.keys(usb);
  check(key.signCount > 1, `it has counted to ${key.signCount}`);
  await machine.setBack(usb, key, 0);
  await again(person);
  await person.leads(() => person.button('Passkey').click());
  await says(person, 'may have been copied');
  await person.sees('copied', /Error/);
  await machine.setBack(usb, key, key.signCount + 10);
  await again(person);
  await person.leads(() => person.button('Passkey').click());
  await isIn(person);
}

/** On another host there is none, and the page says why. */
async function elsewhere(open) {
  const person = await open('phone');
  const base = facts.base.replace('localhost', '127.0.0.1');
  await signIn(person, FILE, base);
  await person.sees('elsewhere', CHOOSE);
  check((await person.text()).includes('only offer it at localhost'), 'where it is offered');
  same(await person.button('Passkey').count(), 0, 'passkeys on offer');
}

/** Without script the page says so. */
async function withoutScript(open) {
  const person = await open('phone', { javaScriptEnabled: false });
  await signIn(person, FILE);
  check((await person.text()).includes('Passkeys need scripts'), 'a hint');
  await person.leads(() => person.button('Passkey').click());
  await person.sees('no-script', /Error/);
}

/** Lets a program in that cannot show a page: by nothing but the passkey, and once. */
async function letsAProgramIn(person, machine, usb) {
  const page = `/.vestibule/device?code=${await ask('client')}`;
  await person.goto(page);
  await person.sees('program', 'Let this program in?');
  await machine.verifies(usb, false);
  await person.button('Passkey').click();
  await says(person, 'Nothing was confirmed');
  await machine.verifies(usb, true);
  await person.leads(() => person.button('Passkey').click());
  await person.sees('program-in', 'The program is in');
  same(await ask('is-in'), true, 'the program is let in');
  await person.goto(page);
  await person.page.getByRole('alert').waitFor();
}

/** Takes one away: the other goes on. */
async function removes(person) {
  await person.goto(PAGE);
  await person.leads(() => person.button('Remove').first().click());
  await person.sees('removed', TITLE);
  same(await names(person), ['Blue key'], 'what is left');
  await person.goto('/.vestibule/account');
  await person.sees('account', 'Your account');
  check((await person.text()).includes('Blue key'), 'the account page names it');
}

await walk('passkeys', async (open) => {
  const person = await open('desktop');
  const machine = await Authenticators.of(person);
  const usb = await registers(person, machine);
  await passes(person);
  await unverified(person, machine, usb);
  await copied(person, machine, usb);
  await letsAProgramIn(person, machine, usb);
  await removes(person);
  await passes(person);
  await elsewhere(open);
  await withoutScript(open);
});
