// Walks through pages in Debian's Chromium. See README.md beside this file.
//
// A walk is a script that `tests/it` starts, with what it needs to know in WALK and answers to its
// questions on stdin. It ends with 0 once everything it visited was as it should be.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const ROOT = new URL('../../', import.meta.url);
const installed = createRequire(new URL('target/tools/browser/', ROOT));
const { chromium } = installed('playwright-core');
const AXE = readFileSync(installed.resolve('axe-core/axe.min.js'), 'utf8');

/** The rules every page keeps: WCAG 2.2 AA and axe's best practices. */
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
const SIZES = {
  phone: { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 },
  desktop: { viewport: { width: 1280, height: 800 } },
};
/** What a step may take on a busy machine, in milliseconds. */
const LIMIT = 10_000;

/** What the test tells: `base` (the gateway's URL), and whatever else it was started with. */
export const facts = JSON.parse(process.env.WALK ?? '{}');

/** Fails the walk, saying where. */
export function check(holds, what) {
  if (!holds) throw new Error(what);
}

/** Fails the walk unless both are the same. */
export function same(found, wanted, what) {
  check(
    JSON.stringify(found) === JSON.stringify(wanted),
    `${what}: ${JSON.stringify(found)} instead of ${JSON.stringify(wanted)}`,
  );
}

const lines = createInterface({ input: process.stdin });
const waiting = [];
/** Browsers besides the walk's own. */
const others = [];
lines.on('line', (line) => waiting.shift()?.(JSON.parse(line)));

/** Asks the test, which answers in order: `ask('sms', {to})` is the newest code to that number. */
export function ask(what, more = {}) {
  return new Promise((answer) => {
    waiting.push(answer);
    process.stdout.write(`${JSON.stringify({ ask: what, ...more })}\n`);
  });
}

/** Fails in time for the test to be told why. */
function late() {
  return new Promise((_, fail) => { setTimeout(fail, 200_000, new Error('not done in time')); });
}

function screens(walk) {
  return new URL(`target/screens/${walk}/`, ROOT);
}

/** Runs the walk `steps(open)` in one browser; `open(size, options)` is somebody with a browser of their own. */
export async function walk(name, steps) {
  const browser = await chromium.launch({ executablePath: facts.chromium, timeout: LIMIT });
  const end = async (code) => {
    await Promise.all([browser, ...others].map((it) => it.close()));
    process.exit(code);
  };
  // The test has ended, for whatever reason.
  lines.on('close', () => end(1));
  const opened = [];
  rmSync(screens(name), { recursive: true, force: true });
  const open = async (size = 'desktop', options = {}) => {
    const person = new Person(browser, name, size, options);
    opened.push(await person.start());
    return person;
  };
  try {
    await Promise.race([steps(open), late()]);
    for (const person of opened) person.complain();
    await end(0);
  } catch (error) {
    // Where it stands now, for whoever looks into it.
    for (const person of opened) await person.keep(`failed-${opened.indexOf(person)}`).catch(() => {});
    process.stderr.write(`${name}: ${error.stack}\n`);
    for (const person of opened) process.stderr.write(`  at ${person.page?.url()} ${person.wrongs.join('\n  ')}\n`);
    await end(1);
  }
}

/** A browser whose settings refuse all cookies: only a profile can say so. */
async function cookieless(options) {
  const profile = mkdtempSync(join(tmpdir(), 'profile-'));
  const settings = { profile: { default_content_setting_values: { cookies: 2 } } };
  mkdirSync(join(profile, 'Default'));
  writeFileSync(join(profile, 'Default', 'Preferences'), JSON.stringify(settings));
  const context = await chromium.launchPersistentContext(profile, { ...options, executablePath: facts.chromium });
  others.push(context);
  return context;
}

/** Somebody with a browser: a profile of its own, one tab. Options are those of Playwright's contexts. */
class Person {
  constructor(browser, walk, size, options) {
    Object.assign(this, { browser, walk, size, options });
    /** What the console and the pages complained about. */
    this.wrongs = [];
  }

  async start() {
    const options = {
      baseURL: facts.base,
      colorScheme: 'light',
      // Colours that are on their way would be judged in the middle of it.
      reducedMotion: 'reduce',
      locale: 'en-GB',
      timezoneId: 'Europe/Copenhagen',
      ignoreHTTPSErrors: true,
      ...SIZES[this.size],
      ...this.options,
    };
    this.profile = options;
    this.context = await (this.options.cookies === false ? cookieless(options) : this.browser.newContext(options));
    this.context.setDefaultTimeout(LIMIT);
    this.page = await this.context.newPage();
    this.page.on('console', (message) => {
      const { url } = message.location();
      // That a page was served with an error's status is noted, too; and a file without a page has no icon.
      const own = url === this.page.url() || url === this.leaving || url.endsWith('/favicon.ico');
      if (message.type() === 'error' && !(own && message.text().startsWith('Failed to load resource'))) {
        this.wrongs.push(`console: ${message.text()} (${url})`);
      }
    });
    this.page.on('request', (request) => {
      if (request.isNavigationRequest()) this.leaving = request.url();
    });
    this.page.on('pageerror', (error) => this.wrongs.push(`script: ${error.message}`));
    return this;
  }

  /** Fails the walk if a console or a policy has complained. */
  complain() {
    check(this.wrongs.length === 0, this.wrongs.join('\n'));
  }

  /** Goes to a path of the gateway; the answer, after redirects. */
  async goto(path) {
    return this.page.goto(path);
  }

  /** All that is to be read. */
  async text() {
    return (await this.page.locator('body').innerText()).trim();
  }

  button(name) {
    return this.page.getByRole('button', { name });
  }

  link(name) {
    return this.page.getByRole('link', { name });
  }

  field(name) {
    return this.page.getByLabel(name);
  }

  /** Does `act` and waits until it has led to a page that is there. */
  async leads(act) {
    await Promise.all([this.page.waitForEvent('domcontentloaded'), act()]);
    await this.page.waitForLoadState();
  }

  /**
   * Says that a page was reached: judges it in light and dark and at 320 pixels, and keeps a picture
   * of it as `<name>-<size>.png`. Every page of a walk is looked at like this.
   */
  async sees(name, title) {
    if (title !== undefined) {
      const found = await this.page.title();
      check(title instanceof RegExp ? title.test(found) : found.startsWith(title), `${name}: the title is "${found}"`);
    }
    await this.page.mouse.move(0, 0);
    for (const colorScheme of ['dark', 'light']) {
      await this.page.emulateMedia({ colorScheme });
      await this.judge(name, colorScheme);
      await this.keep(colorScheme === 'dark' ? `${name}-dark` : name);
    }
    await this.narrow(name);
    this.complain();
  }

  async judge(name, colorScheme) {
    const page = await this.likeness(colorScheme);
    await page.evaluate(AXE);
    // Of colours that the system forces, the rules see only what the page had asked for.
    const rules = { 'color-contrast': { enabled: this.options.forcedColors !== 'active' } };
    const how = { runOnly: { type: 'tag', values: RULES }, rules, resultTypes: ['violations'] };
    const { violations } = await page.evaluate((options) => globalThis.axe.run(document, options), how);
    if (page !== this.page) await page.close();
    const told = violations.map(({ id, help, nodes }) =>
      `${id}: ${help}\n${nodes.map((it) => `    ${it.html}\n    ${it.failureSummary}`).join('\n')}`);
    check(violations.length === 0, `${name}, ${colorScheme} (${this.page.url()}): ${told.join('\n')}`);
  }

  /** The page, or one like it where the rules can run though this browser runs no script. */
  async likeness(colorScheme) {
    if (this.options.javaScriptEnabled !== false) return this.page;
    this.glass ??= await this.browser.newContext({ ...this.profile, javaScriptEnabled: true });
    const glass = await this.glass.newPage();
    const html = (await this.page.content()).replaceAll(/<script.*?<\/script>/gs, '').replaceAll('noscript', 'div');
    await glass.route('**', (route) => route.request().isNavigationRequest()
      ? route.fulfill({ body: html, contentType: 'text/html; charset=utf-8' }) : route.continue());
    await glass.goto(this.page.url());
    await glass.emulateMedia({ colorScheme });
    return glass;
  }

  /** WCAG 1.4.10: no sideways scrolling at 320 CSS pixels. */
  async narrow(name) {
    const before = this.page.viewportSize();
    await this.page.setViewportSize({ width: 320, height: 640 });
    const [wide, who] = await this.page.evaluate(() => {
      const all = [...document.body.querySelectorAll('*')];
      const out = all.filter((it) => it.getBoundingClientRect().right > 320.5);
      return [document.documentElement.scrollWidth, out.map((it) => it.outerHTML.slice(0, 120))];
    });
    await this.page.setViewportSize(before);
    check(wide <= 320, `${name} is ${wide} pixels wide on a screen of 320: ${who.join('\n')}`);
  }

  /** Keeps a picture of the whole page. */
  async keep(name) {
    const dir = screens(this.walk);
    mkdirSync(dir, { recursive: true });
    const scripts = this.options.javaScriptEnabled === false ? '-noscript' : '';
    const path = fileURLToPath(new URL(`${name}-${this.size}${scripts}.png`, dir));
    await this.page.screenshot({ path, fullPage: true, animations: 'disabled' });
  }

  /** A small picture of what is on the screen, for the README. */
  async picture(name) {
    const path = fileURLToPath(new URL(`pictures/${name}.png`, screens('.')));
    await this.page.screenshot({ path, scale: 'css' });
  }

  /** What the keyboard reaches in order, as `role name`, from the top of the page. */
  async order(most = 40) {
    const found = [];
    await this.page.evaluate(() => document.activeElement?.blur());
    for (let i = 0; i < most; i += 1) {
      await this.page.keyboard.press('Tab');
      const name = await this.page.evaluate(() => {
        const it = document.activeElement;
        if (!it || it === document.body) return null;
        const label = it.getAttribute('aria-label') ?? it.labels?.[0]?.innerText ?? it.innerText;
        return `${it.tagName.toLowerCase()} ${label.trim()}`;
      });
      if (name === null || name === found[0]) break;
      found.push(name);
    }
    return found;
  }
}
