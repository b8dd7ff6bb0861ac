// node browser.js HOST ADDR NEXT FILE: opens two tabs, deploys by copying NEXT over FILE, reloads
// one of them, and prints what the tabs and a newcomer saw as JSON.
'use strict';
const fs = require('node:fs');
const http = require('node:http');
const { chromium } = require('playwright-core');
const [host, addr, next, file] = process.argv.slice(2);
const [ip, port] = addr.split(':');
const url = `http://${host}:${port}/`;

// What a tab shows after another click on its button, and what a call without the page's wrapper
// reaches.
async function look(page) {
  await page.evaluate(() => {
    for (const id of ['api', 'clock']) document.getElementById(id).textContent = '';
  });
  await page.click('#call');
  await page.waitForFunction(() => ['api', 'clock'].every((id) => document.getElementById(id).textContent));
  const text = (id) => page.textContent(`#${id}`);
  return {
    page: await text('page'),
    script: await text('script'),
    api: await text('api'),
    clock: (await text('clock')).split(',')[0],
    bare: await page.evaluate(async () => (await (await fetch('/api/version')).json()).version),
    offersReload: await page.isVisible('#skew'),
  };
}

async function open(context) {
  const page = await context.newPage();
  await page.goto(url);
  return page;
}

function latest() {
  return new Promise((resolve, reject) => {
    const request = http.get({ host: ip, port, headers: { host } }, (response) => {
      response.resume();
      resolve(response.headers['x-lockstep-version']);
    });
    request.on('error', reject);
  });
}

async function deploy() {
  const before = await latest();
  fs.copyFileSync(next, file);
  const deadline = Date.now() + 20_000;
  while ((await latest()) === before) {
    if (Date.now() > deadline) throw new Error('the deploy is not seen');
    await new Promise((done) => setTimeout(done, 20));
  }
}

async function main() {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', `--host-resolver-rules=MAP ${host} ${ip}`],
  });
  const context = await browser.newContext();
  const [tab, other] = [await open(context), await open(context)];
  const saw = { before: await look(tab) };
  await deploy();
  await tab.reload();
  saw.reloaded = await look(tab);
  saw.other = await look(other);
  saw.cookie = (await context.cookies()).find((cookie) => cookie.name === '__plt_dpl');
  saw.newcomer = await look(await open(await browser.newContext()));
  await browser.close();
  console.log(JSON.stringify(saw));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
