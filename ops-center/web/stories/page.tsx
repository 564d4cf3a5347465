import '@fontsource/be-vietnam-pro/400.css';
import '@fontsource/be-vietnam-pro/500.css';
import '@fontsource/be-vietnam-pro/600.css';
import '@fontsource/be-vietnam-pro/700.css';
import '../src/app.css';
import '../src/theme.css';
import './stories.css';
import { createRoot } from 'react-dom/client';
import { App } from '../src/app.tsx';
import { catalogues, type Key, language, setLanguage } from '../src/i18n/index.ts';
import { pageAt } from '../src/pages.ts';
import { Guard } from '../src/panels/guard.tsx';
import { Replay } from '../src/replay/moment.ts';
import { setTheme } from '../src/theme.ts';
import { Wall } from '../src/wall.ts';
import { glyphs } from './glyphs.ts';
import { AT } from './moment.mjs';
import { alarms, EVERY_PERMISSION, said, serve, type Told } from './server.ts';
import { STORIES, type Step, type Story } from './stories.ts';

/** Shows a story, or the list of all. */
export async function open(id: string): Promise<void> {
  const host = document.getElementById('root') as HTMLElement;
  await Promise.all(
    ['400', '500', '600', '700'].flatMap((weight) => [
      document.fonts.load(`${weight} 16px "Be Vietnam Pro"`, '1234'),
      document.fonts.load(`${weight} 16px "Be Vietnam Pro"`, 'Mực nước Ẫ Ễ Ố Ồ'),
    ]),
  );
  const story = STORIES.find((s) => s.id === id);
  if (!story) {
    list(host, id);
    return;
  }
  const told: Told = {
    alarms,
    heartbeat: {},
    permissions: story.page ? EVERY_PERMISSION : ['view', 'handle_alarms'],
    answers: {},
    link: 'live',
    ...story.told,
  };
  // One device or alarm less, to see whether that would be noticed.
  const without = new URLSearchParams(location.search).get('without') ?? '';
  if (without) {
    told.without = without;
    told.alarms = told.alarms.filter((a) => a.id !== without);
  }
  serve(told);
  if (story.id === 'glyphs') await glyphs(host);
  else await draw(host, story);
  expose(story);
  try {
    await settle(story);
    for (const step of story.steps ?? []) await perform(step);
    document.documentElement.dataset.story = 'ready';
  } catch (error) {
    document.documentElement.dataset.story = `failed: ${String(error)}`;
    throw error;
  }
}

async function draw(host: HTMLElement, story: Story): Promise<void> {
  if (story.page) {
    history.replaceState(null, '', `${story.page}${location.search}${story.hash ?? ''}`);
    const page = pageAt(story.page);
    if (!page) throw new Error(`no page at ${story.page}`);
    const Page = await page();
    createRoot(host).render(
      <Guard>
        <Page refused={undefined} />
      </Guard>,
    );
    return;
  }
  const replay = story.told?.replay ? new Replay(AT - 3_600_000, 60, false) : undefined;
  const wall = new Wall({ display: '', replay });
  shown = wall;
  createRoot(host).render(
    <Guard>
      <App wall={wall} refused={undefined} />
    </Guard>,
  );
  wall.start();
}

let shown: Wall | undefined;

/**
 * A story is there when what it is about is, and the fonts it asked for. One
 * whose picture is kept waits for the second figures too: they are counted once
 * a second, the first before the alarms have come.
 */
async function settle(story: Story): Promise<void> {
  await present(story.shows);
  const seen = new Set<unknown>();
  for (let i = 0; i < 100 && story.golden && shown && seen.size < 2; i++) {
    if (shown.figures.get()) seen.add(shown.figures.get());
    await new Promise((done) => setTimeout(done, 25));
  }
  await document.fonts.ready;
}

async function present(selector: string): Promise<Element> {
  for (let i = 0; i < 400; i++) {
    const found = document.querySelector(selector);
    if (found) return found;
    await new Promise((done) => setTimeout(done, 25));
  }
  throw new Error(`${selector} did not come`);
}

async function perform(step: Step): Promise<void> {
  if ('key' in step) {
    window.dispatchEvent(
      new KeyboardEvent('keydown', {
        key: step.key,
        ctrlKey: step.ctrl ?? false,
        bubbles: true,
        cancelable: true,
      }),
    );
  } else ((await present(step.click)) as HTMLElement).click();
  if (step.shows) await present(step.shows);
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 30)));
}

/** Each phrase four tenths longer, of words that can be broken as any others. */
function longer(text: string): string {
  if (text.length < 4) return text;
  const filler = ' thêm chữ nữa cho dài hơn một quãng để xem còn vừa chỗ hay đã tràn ra ngoài mép khung rồi';
  return (
    text +
    filler
      .repeat(8)
      .slice(0, Math.ceil(text.length * 0.4))
      .trimEnd()
  );
}

/** What the tests ask of a story page. */
function expose(story: Story): void {
  const vietnamese = { ...catalogues.vi };
  const again = () => {
    // The same language twice is no change: go by way of the other.
    language.set('en');
    language.set('vi');
  };
  Object.assign(window, {
    story: {
      scrolls: story.scrolls ?? [],
      language(lang: 'vi' | 'en' | 'long') {
        const long = lang === 'long';
        for (const key of Object.keys(vietnamese) as Key[]) {
          catalogues.vi[key] = long ? longer(vietnamese[key]) : vietnamese[key];
        }
        if (lang === 'en') setLanguage('en');
        else {
          document.documentElement.lang = 'vi';
          again();
        }
      },
      theme: setTheme,
      said: () => said.join('\n'),
      phrases: () => ({ vi: { ...vietnamese }, en: { ...catalogues.en } }),
    },
  });
}

function list(host: HTMLElement, missing: string): void {
  const link = (story: string, text: string, more = '') => {
    const a = document.createElement('a');
    a.href = `/stories/?story=${encodeURIComponent(story)}${more}`;
    a.textContent = text;
    return a;
  };
  host.className = 'story-list';
  const heading = document.createElement('h1');
  heading.textContent = missing ? `no story "${missing}"` : `${STORIES.length} stories`;
  const rows = STORIES.map((s) => {
    const row = document.createElement('li');
    row.dataset.story = s.id;
    row.dataset.spec = JSON.stringify({
      id: s.id,
      sizes: s.sizes,
      golden: s.golden ?? false,
      without: s.without ?? '',
      canvas: s.canvas ?? false,
    });
    row.append(
      link(s.id, s.id),
      ' ',
      link(s.id, 'en', '&lang=en'),
      ' ',
      link(s.id, 'light', '&theme=light'),
      ` ${s.sizes.map(([w, h]) => `${w} × ${h}`).join(', ')}`,
    );
    return row;
  });
  const ol = document.createElement('ol');
  ol.append(...rows);
  host.append(heading, ol);
  document.documentElement.dataset.story = 'ready';
}
