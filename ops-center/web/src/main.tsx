import '@fontsource/be-vietnam-pro/400.css';
import '@fontsource/be-vietnam-pro/500.css';
import '@fontsource/be-vietnam-pro/600.css';
import '@fontsource/be-vietnam-pro/700.css';
import './app.css';
import './theme.css';
import './theme.ts';
import { createRoot } from 'react-dom/client';
import { api } from './api.ts';
import { App } from './app.tsx';
import { pageAt } from './pages.ts';
import { Guard } from './panels/guard.tsx';
import { followAsked } from './replay/follow.ts';
import { replayAsked } from './replay/moment.ts';
import { draftScene } from './scenes/draft.ts';
import { Wall } from './wall.ts';

/**
 * A screen is opened by a link whose fragment carries its token. The fragment
 * never reaches a server's log; it is exchanged for a cookie and taken out of
 * the address before anything else happens.
 */
async function takeToken(): Promise<unknown> {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const token = fragment.get('token');
  if (!token) return undefined;
  fragment.delete('token');
  const rest = fragment.toString();
  history.replaceState(null, '', location.pathname + location.search + (rest ? `#${rest}` : ''));
  try {
    await api.openSession(token);
    return undefined;
  } catch (error) {
    // A session from before may still hold; if not, the page that asks for a token says this.
    return error;
  }
}

async function open(): Promise<void> {
  const host = document.getElementById('root');
  if (!host) throw new Error('index.html has no #root');
  const refused = await takeToken();
  // Canvas text, digits on the map among it, needs the face to be there first.
  await Promise.allSettled([
    document.fonts.load('700 16px "Be Vietnam Pro"', '1234'),
    document.fonts.load('400 16px "Be Vietnam Pro"', 'Mực nước'),
  ]);
  const page = pageAt(location.pathname);
  if (page) {
    const Page = await page();
    createRoot(host).render(
      <Guard>
        <Page refused={refused} />
      </Guard>,
    );
    return;
  }
  const asked = new URLSearchParams(location.search);
  const draft = asked.get('scene') === 'draft' ? draftScene() : undefined;
  // A draft is looked at by whoever makes it: no server tells this page what to show.
  const whole = createRoot(host);
  let turns = 0;
  const show = (): void => {
    const wall = new Wall(
      draft
        ? {}
        : {
            display: asked.get('display') ?? '',
            replay: replayAsked(location.search),
            follow: followAsked(location.search),
            // A display goes into the past and out of it without loading the page anew.
            turn: (address) => {
              history.replaceState(null, '', address);
              show();
            },
          },
    );
    if (draft) wall.scene.set(draft);
    whole.render(
      <Guard key={turns++}>
        <App wall={wall} refused={refused} />
      </Guard>,
    );
    wall.start();
  };
  show();
}

// A link opened where this page is already, as on a screen that asks who it is,
// changes the fragment only.
window.addEventListener('hashchange', () => {
  if (new URLSearchParams(location.hash.slice(1)).has('token')) location.reload();
});
void open();
