// Everything works without this file. It adds the theme switch, printing, the dialog, and validation
// while typing. Limits and sentences are the server's own: they come in data attributes.
const root = document.documentElement;

document.querySelectorAll('[data-theme-toggle]').forEach(button => {
  button.hidden = false;
  button.addEventListener('click', () => {
    const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
    root.dataset.theme = dark ? 'light' : 'dark';
    try { localStorage.setItem('theme', root.dataset.theme); } catch { /* private mode */ }
  });
});

document.querySelectorAll('[data-print]').forEach(button => {
  button.hidden = false;
  button.addEventListener('click', () => print());
});

document.querySelectorAll('[data-open]').forEach(link => link.addEventListener('click', event => {
  const dialog = document.getElementById(link.dataset.open);
  if (!dialog?.showModal) return;
  event.preventDefault();
  dialog.showModal();
  dialog.querySelectorAll('[data-close]').forEach(close => close.addEventListener('click', end => {
    end.preventDefault();
    dialog.close();
  }, { once: true }));
}));

// A send that is under way is not sent twice.
document.querySelectorAll('form[method=post]').forEach(form => form.addEventListener('submit', event => {
  if (event.defaultPrevented) return;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = '1';
}));
addEventListener('pageshow', () => document.querySelectorAll('form[data-sent]').forEach(form => delete form.dataset.sent));

// Complain late (on leaving a field, or when no further digit can help), forgive at once.
document.querySelectorAll('[data-validate]').forEach(form => {
  const clean = input => input.value.trim();
  const number = text => /^[+-]?\d+(\.0*)?$/.test(text) ? Number(text) : NaN;
  const partnerOf = input => input.dataset.above ? form.elements[input.dataset.above] : null;

  const problem = input => {
    const text = clean(input), value = number(text), { missing, type, range, order, min, max } = input.dataset;
    if (text === '') return missing;
    if (Number.isNaN(value)) return type;
    if (value < +min || value > +max) return range;
    const partner = partnerOf(input);
    if (partner && partner.value.trim() !== '' && value <= number(clean(partner))) return order;
    return '';
  };
  const doubt = input => {
    const value = number(clean(input)), { low, high, unusual } = input.dataset;
    if (!unusual || Number.isNaN(value) || problem(input)) return '';
    const [below, above] = unusual.split('|');
    return value < +low ? below : value > +high ? above : '';
  };
  const write = (id, text, alert) => {
    const line = document.getElementById(id);
    if (!line) return;
    if (alert) line.setAttribute('role', 'alert');
    line.hidden = !text;
    line.lastElementChild.textContent = text;
  };
  const show = (input, text) => {
    input.setAttribute('aria-invalid', String(Boolean(text)));
    write(`${input.name}-e`, text, true);
    write(`${input.name}-s`, text ? '' : doubt(input), false);
    const field = input.closest('.field');
    field.classList.toggle('err', Boolean(field.querySelector('[aria-invalid=true]')));
  };

  const numbers = [...form.querySelectorAll('input[data-min]')];
  const left = new Set(numbers.filter(input => input.hasAttribute('aria-invalid')));
  for (const input of numbers) {
    const related = () => numbers.filter(other => other.dataset.above === input.name && left.has(other) && clean(other));
    input.addEventListener('input', () => {
      const hopeless = number(clean(input)) > +input.dataset.max;
      if (hopeless || input.getAttribute('aria-invalid') === 'true') show(input, problem(input));
      related().forEach(other => { if (other.getAttribute('aria-invalid') === 'true') show(other, problem(other)); });
    });
    input.addEventListener('change', () => {
      left.add(input);
      const waits = partnerOf(input) && clean(partnerOf(input)) === '' && problem(input) === input.dataset.order;
      if (clean(input) !== '' && !waits) show(input, problem(input));
      related().forEach(other => show(other, problem(other)));
    });
  }
  form.addEventListener('change', event => {
    const choice = event.target.closest('input[type=radio], select');
    if (!choice || choice.value === '') return;
    write(`${choice.name}-e`, '', true);
    choice.closest('.field').classList.remove('err');
  });

  form.addEventListener('submit', event => {
    const bad = numbers.filter(input => { const text = problem(input); show(input, text); return text; });
    for (const field of form.querySelectorAll('fieldset[data-missing], .field:has(select[data-missing])')) {
      const control = field.querySelector('input[type=radio], select');
      const chosen = field.querySelector('input:checked') || (control.matches('select') && control.value);
      if (chosen) continue;
      write(`${control.name}-e`, field.dataset.missing || control.dataset.missing, true);
      field.classList.add('err');
      bad.push(control);
    }
    if (!bad.length) return;
    event.preventDefault();
    delete form.dataset.sent;
    bad.sort((a, b) => a.compareDocumentPosition(b) & Node.DOCUMENT_POSITION_FOLLOWING ? -1 : 1)[0].focus();
  });
});

// After an error answer the summary comes first.
document.querySelector('.errsum')?.focus();
