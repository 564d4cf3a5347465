// Logs a person in by the identity provider of the tests, in a real browser,
// and out again.
//   node test/e2e/oidc.mjs --url http://[::1]:8080 --issuer http://[::1]:9000 --chromium PATH [--shots DIR]
import { chromium } from 'playwright-core';

const option = (name, otherwise) => {
  const i = process.argv.indexOf(`--${name}`);
  return i > 0 ? process.argv[i + 1] : otherwise;
};
const url = option('url');
const issuer = option('issuer');
const shots = option('shots', '');
let failed = 0;
const expect = (what, ok, got = '') => {
  console.log(`${ok ? 'ok  ' : 'FAIL'} ${what} ${got}`);
  if (!ok) failed++;
};

const browser = await chromium.launch({
  executablePath: option('chromium'),
  args: [
    '--headless=new',
    '--no-sandbox',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
  ],
});
const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
const shot = async (name) => {
  if (shots) await page.screenshot({ path: `${shots}/oidc-${name}.png` });
};

await page.goto(`${url}/people`);
const button = page.getByRole('link', { name: 'Đăng nhập qua cổng xác thực' });
await button.waitFor();
await shot('login-vi');
await button.click();
await page.waitForURL(`${issuer}/**`);
await page.locator('input[name=login]').fill('binh');
await page.locator('input[name=password]').fill('any');
await page.locator('[type=submit]').first().click();
await page.locator('.tabs').waitFor();
expect('back on the page that was asked for', page.url().startsWith(`${url}/people`), page.url());
const chip = (await page.locator('.header .chip').first().textContent()) ?? '';
expect('the name and the role of the group', chip === 'Trần Thị Bình · Trưởng ca', chip);
const cookies = await page.context().cookies(url);
const session = cookies.find((c) => c.name === 'vonglau_session');
expect('the session is out of reach of scripts', session?.httpOnly === true && session.sameSite === 'Strict');
await shot('account-vi');

await page.getByRole('button', { name: 'Đăng xuất' }).click();
await page.waitForURL(`${issuer}/**`);
await page.getByRole('button', { name: /yes/i }).click();
await page.waitForURL(`${url}/**`);
await page.goto(`${url}/people`);
await button.waitFor();
await button.click();
await page.locator('input[name=login]').waitFor();
expect('logged out at the provider too', page.url().startsWith(issuer), page.url());

// Somebody without a role is told so, in their language.
await page.locator('input[name=login]').fill('khach');
await page.locator('input[name=password]').fill('any');
await page.locator('[type=submit]').first().click();
const problem = page.locator('.login .problem:not(:empty)');
await problem.waitFor();
expect(
  'a person without a role is told so',
  /chưa được giao vai trò/.test((await problem.textContent()) ?? ''),
);
expect('and the reason is out of the address', !page.url().includes('#'), page.url());
await shot('no-role-vi');
await browser.close();
process.exit(failed > 0 ? 1 : 0);
