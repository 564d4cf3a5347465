import { Component, type ReactNode } from 'react';
import { language, phrase } from '../i18n/index.ts';

const RELOAD_AFTER = 10_000;

/**
 * A wall is never a blank page: an error in a panel says so for ten seconds,
 * dead and not live, and then the page starts anew.
 */
export class Guard extends Component<{ children: ReactNode }, { error: Error | undefined }> {
  override state: { error: Error | undefined } = { error: undefined };

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  override componentDidCatch(): void {
    document.documentElement.dataset.state = 'stale';
    setTimeout(() => location.reload(), RELOAD_AFTER);
  }

  override render(): ReactNode {
    const { error } = this.state;
    if (!error) return this.props.children;
    const lang = language.get();
    return (
      <div className="lost" role="alert">
        <strong>{phrase(lang, 'app.broken')}</strong>
        <span>{error.message}</span>
      </div>
    );
  }
}
