import './first.css';
import { useEffect, useState } from 'react';
import { get } from '../api.ts';
import { useCell } from '../cell.ts';
import { useLanguage } from '../i18n/index.ts';
import { useWall } from '../panels/context.ts';

const LOOK_EVERY = 5000;
const PUT_AWAY = 'vonglau.first';

/** What a working center has, in the order in which it comes about. */
const STEPS = ['layer', 'department', 'rule', 'device', 'reading', 'account', 'display'] as const;
type Step = (typeof STEPS)[number];

/** Where a step is done; the others are done outside of these pages. */
const PLACE: Partial<Record<Step, '/rules' | '/devices' | '/people' | '/scenes'>> = {
  rule: '/rules',
  device: '/devices',
  account: '/people',
  display: '/scenes',
};
const NEED: Record<Step, string> = {
  layer: 'manage_layers',
  department: 'manage_devices',
  rule: 'manage_rules',
  device: 'manage_devices',
  reading: 'manage_devices',
  account: 'manage_people',
  display: 'manage_displays',
};

/** Whether a list of the API has anything in it. */
async function any(path: string, key: string, signal: AbortSignal): Promise<boolean> {
  const body = await get<Record<string, unknown[] | null>>(path, signal);
  return (body[key]?.length ?? 0) > 0;
}

/**
 * Leads whoever sets up a center from nothing to a first alarm on a first
 * screen. Each step is checked off by what the server has, never by a click;
 * when all are, it goes by itself.
 */
export function FirstSteps() {
  const wall = useWall();
  const session = useCell(wall.session);
  const own = useCell(wall.own);
  const [away, setAway] = useState(putAway);
  const mine = STEPS.filter((step) => session?.permissions.includes(NEED[step]));
  if (away || own || !session || mine.length < 3) return null;
  return (
    <Steps
      mine={mine}
      onAway={() => {
        setAway(true);
        try {
          localStorage.setItem(PUT_AWAY, 'away');
        } catch {
          // Forbidden storage: it is back with the next page.
        }
      }}
    />
  );
}

function putAway(): boolean {
  try {
    return localStorage.getItem(PUT_AWAY) !== null;
  } catch {
    return false;
  }
}

function Steps({ mine, onAway }: { mine: Step[]; onAway: () => void }) {
  const wall = useWall();
  const { t } = useLanguage();
  const [listed, setListed] = useState<Partial<Record<Step, boolean>>>();
  useCell(wall.city.shape);
  useCell(wall.figures); // once a second: a first reading is seen at once
  const device = wall.city.devices > 0 ? wall.city.id[0] : '';
  const done: Partial<Record<Step, boolean>> = {
    ...listed,
    device: wall.city.devices > 0,
    reading: wall.city.known.some((k) => k !== 0),
  };
  const key = mine.join(' ');
  useEffect(() => {
    const abort = new AbortController();
    const asked = key.split(' ') as Step[];
    const look = async () => {
      if (document.hidden) return;
      const found: Partial<Record<Step, boolean>> = {};
      const ask = async (step: Step, path: string, name: string) => {
        if (asked.includes(step)) found[step] = await any(path, name, abort.signal);
      };
      try {
        await Promise.all([
          ask('layer', '/v1/layers', 'layers'),
          ask('department', '/v1/departments', 'departments'),
          ask('rule', '/v1/rules', 'rules'),
          ask('account', '/v1/people', 'people'),
          ask('display', '/v1/displays', 'displays'),
        ]);
        setListed(found);
      } catch {
        // Not now: the banner says when the server is away; the next look asks again.
      }
    };
    void look();
    const timer = setInterval(() => void look(), LOOK_EVERY);
    return () => {
      clearInterval(timer);
      abort.abort();
    };
  }, [key]);
  // Nothing is said before all is known: a city at work sees no panel come and go.
  if (!listed || wall.city.dict < 0) return null;
  const open = mine.filter((step) => !done[step]);
  if (open.length === 0) return null;
  const command: Partial<Record<Step, string>> = {
    layer: 'vonglau layer import wards wards.geojson --code code --name name --valid-from 2025-07-01 --join',
    rule: 'vonglau rule apply rules.yaml',
    department: 'vonglau department set so-tnmt --head "…"',
    ...(device
      ? {
          reading: `curl -H "Authorization: Bearer …" -d '{"pm25": 12}' ${location.origin}/v1/devices/${device}/telemetry`,
        }
      : {}),
  };
  return (
    <aside className="panel first-steps" aria-labelledby="first-steps">
      <div className="panel-head">
        <h2 id="first-steps">{t('first.title')}</h2>
        <span>{t('first.done', { done: mine.length - open.length, all: mine.length })}</span>
        <button type="button" onClick={onAway}>
          {t('first.away')}
        </button>
      </div>
      <ol>
        {mine.map((step) => {
          const place = PLACE[step];
          return (
            <li
              key={step}
              className={done[step] ? 'done' : step === open[0] ? 'next' : ''}
              data-step={step}
              data-done={done[step] ? 'yes' : 'no'}
            >
              <i aria-hidden="true">{done[step] ? '✓' : ''}</i>
              <div>
                <b>
                  {t(`first.${step}`)}
                  {done[step] && <span className="heard"> ({t('first.isDone')})</span>}
                </b>
                {step === open[0] && (
                  <>
                    <p>{t(`first.${step}.how`)}</p>
                    {command[step] && <code>{command[step]}</code>}
                    {place && <a href={place}>{t(`first.${step as 'rule'}.go`)}</a>}
                  </>
                )}
              </div>
            </li>
          );
        })}
      </ol>
    </aside>
  );
}
