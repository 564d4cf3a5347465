// A certified OpenID Connect provider (npm oidc-provider) for the tests:
//   node server.mjs PORT REDIRECT_URI
// Anybody of `users` logs in with any password, on the provider's own
// development pages. POST /control/disable?user=ID and /control/enable?user=ID
// are what an administrator of the provider would do.
import http from 'node:http';
import { Provider } from 'oidc-provider';

const [port, redirect] = process.argv.slice(2);
const users = {
  binh: { name: 'Trần Thị Bình', groups: ['everybody', 'ioc-lead'], department: '' },
  lan: { name: 'Lê Lan', groups: ['drainage'], department: 'Thoát nước' },
  khach: { name: 'Khách', groups: ['everybody'], department: '' },
};
const disabled = new Set();
const home = redirect.replace('/v1/oidc/callback', '');

const provider = new Provider(`http://[::1]:${port}`, {
  clients: [
    {
      client_id: 'vonglau',
      client_secret: 'a-secret-of-the-test-of-enough-length',
      grant_types: ['authorization_code', 'refresh_token'],
      redirect_uris: [redirect],
      post_logout_redirect_uris: [`${home}/`],
      backchannel_logout_uri: `${home}/v1/oidc/backchannel`,
      backchannel_logout_session_required: true,
    },
  ],
  cookies: { keys: ['a key of the test'] },
  scopes: ['openid', 'offline_access', 'profile', 'email'],
  claims: {
    openid: ['sub'],
    profile: ['name', 'preferred_username', 'groups', 'department'],
  },
  pkce: { required: () => true },
  issueRefreshToken: async (_ctx, client) => client.grantTypeAllowed('refresh_token'),
  rotateRefreshToken: true,
  features: { backchannelLogout: { enabled: true }, devInteractions: { enabled: true } },
  findAccount: async (_ctx, sub) =>
    users[sub] && !disabled.has(sub)
      ? {
          accountId: sub,
          claims: async () => ({ sub, preferred_username: sub, ...users[sub] }),
        }
      : undefined,
  // What a person agrees to is no part of the tests.
  loadExistingGrant: async (ctx) => {
    const grant = new ctx.oidc.provider.Grant({
      clientId: ctx.oidc.client.clientId,
      accountId: ctx.oidc.session.accountId,
    });
    grant.addOIDCScope('openid profile email offline_access');
    await grant.save();
    return grant;
  },
});
const answer = provider.callback();
http
  .createServer((req, res) => {
    const url = new URL(req.url, 'http://control');
    const user = url.searchParams.get('user');
    if (url.pathname === '/control/disable') disabled.add(user);
    else if (url.pathname === '/control/enable') disabled.delete(user);
    else return answer(req, res);
    res.end('done');
  })
  .listen(Number(port), '::1', () => console.log('ready'));
