/** The mark: six drupelets under a thorny leaf. Coloured by the surrounding tokens. */
export function Logo({ size = 28 }: { size?: number }) {
  const drupelets: readonly [number, number][] = [
    [10.2, 14.6],
    [16, 13.8],
    [21.8, 14.6],
    [13, 19.6],
    [19, 19.6],
    [16, 24.9],
  ];
  return (
    <svg class="logo" width={size} height={size} viewBox="0 0 32 32" aria-hidden="true">
      <path
        class="logo-leaf"
        d="M16 11.2C12.6 10.7 9.6 8.9 8.3 5.3c3.4-.6 6.2.8 7.7 3.7C16.2 6.2 18 3.6 21.5 2.7c.7 3.9-1.6 7.2-5.5 8.5Z"
      />
      {drupelets.map(([x, y]) => (
        <g key={`${x}-${y}`}>
          <circle class="logo-drupelet" cx={x} cy={y} r={3.5} />
          <circle class="logo-shine" cx={x - 1} cy={y - 1.1} r={0.9} />
        </g>
      ))}
    </svg>
  );
}
