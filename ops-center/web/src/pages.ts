import type { ComponentType } from 'react';

type Page = ComponentType<{ refused: unknown }>;

/**
 * The pages beside the wall. Each is a bundle of its own, fetched when it is
 * opened; ops-center/wall.go serves their addresses.
 */
const pages: Record<string, () => Promise<Page>> = {
  '/departments': async () => (await import('./departments/page.tsx')).DepartmentsPage,
  '/desk': async () => (await import('./desk/page.tsx')).DeskPage,
  '/devices/': async () => (await import('./device/page.tsx')).DevicePage,
  '/devices': async () => (await import('./register/page.tsx')).RegisterPage,
  '/figures': async () => (await import('./figures/page.tsx')).FiguresPage,
  '/enrolment': async () => (await import('./register/enrolment.tsx')).EnrolmentPage,
  '/firmware': async () => (await import('./register/firmware.tsx')).FirmwarePage,
  '/record': async () => (await import('./record/page.tsx')).RecordPage,
  '/rules': async () => (await import('./rules/page.tsx')).RulesPage,
  '/scenes': async () => (await import('./scenes/page.tsx')).ScenesPage,
  '/people': async () => (await import('./people/page.tsx')).PeoplePage,
  '/warnings': async () => (await import('./warnings/page.tsx')).WarningsPage,
};

/** The page of an address: its own, or the one for what is below another, as /devices/tram-1 is for /devices/. */
export function pageAt(path: string): (() => Promise<Page>) | undefined {
  const end = path.indexOf('/', 1);
  return pages[path] ?? pages[path.slice(0, end + 1)] ?? pages[path.slice(0, end)];
}
