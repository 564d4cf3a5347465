import { createContext, useCallback, useContext, useEffect, useState } from 'react';
import { ApiError, reasonKey } from '../api.ts';
import { useCell } from '../cell.ts';
import type { Translate } from '../i18n/index.ts';
import type { Wall } from '../wall.ts';

export const WallContext = createContext<Wall | undefined>(undefined);

export function useWall(): Wall {
  const wall = useContext(WallContext);
  if (!wall) throw new Error('used outside of the wall');
  return wall;
}

/** Whether this screen's session may do something; nothing while that is not known. */
export function useMay(): (permission: string) => boolean {
  const session = useCell(useWall().session);
  return useCallback((permission) => session?.permissions.includes(permission) ?? false, [session]);
}

/** Rises once a second, for what shows ages. */
export function useSecond(): number {
  const [n, set] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => set((v) => v + 1), 1000);
    return () => clearInterval(timer);
  }, []);
  return n;
}

/** What went wrong, for people: in their language where the wall knows it, else the server's words. */
export function reason(t: Translate, error: unknown): string {
  const key = reasonKey(error);
  if (key) return t(key);
  if (error instanceof ApiError) return error.detail;
  return error instanceof Error ? error.message : String(error);
}
