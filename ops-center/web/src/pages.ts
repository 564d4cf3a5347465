import type { ComponentType } from 'react';

type Page = ComponentType<{ refused: unknown }>;

/**
 * The pages beside the wall. Each is a bundle of its own, fetched when it is
 * opened; ops-center/wall.go serves their addresses.
 */
const pages: Record<string, () => Promise<Page>> = {
  '/departments': async () => (await import('./departments/page.tsx')).DepartmentsPage,
  '/devices': async () => (await import('./register/page.tsx')).RegisterPage,
  '/record': async () => (await import('./record/page.tsx')).RecordPage,
  '/rules': async () => (await import('./rules/page.tsx')).RulesPage,
  '/scenes': async () => (await import('./scenes/page.tsx')).ScenesPage,
  '/people': async () => (await import('./people/page.tsx')).PeoplePage,
  '/warnings': async () => (await import('./warnings/page.tsx')).WarningsPage,
};

/** The page of an address: its own, or that of the address above it, as /devices/tram-1. */
export function pageAt(path: string): (() => Promise<Page>) | undefined {
  return pages[path] ?? pages[path.slice(0, path.indexOf('/', 1))];
}
